"""The Go structs that Kubernetes 1.36 hashes or shows in messages: their fields in order and with their Go types.

The pod-template-hash is over a printed form that shows all of this (``rules.template_hash``), and so is the message
about an object that may not be changed (``state.validation.differences``). One struct a line:
``Struct: Field Type json, …``. A field without a type is a string; without a third word its JSON name follows from
Go's name (``FSType`` is ``fsType``). ``-`` as a type stands for an embedded struct, whose JSON fields are its parent's.
Fields that the objects here don't have yet are listed, too: they are printed as absent.
"""

from __future__ import annotations

import re
from functools import cache

_ACRONYM = re.compile(r"[A-Z]+(?![a-z])|[A-Z]")


@cache
def go_structs() -> dict[str, list[tuple[str, str, str]]]:
    """Each struct's fields: Go name, type, JSON name."""
    structs = {}
    for line in STRUCTS.split("\n"):
        name, _, fields = line.partition(": ")
        if fields:
            structs[name] = [_field(*field.split(" ")) for field in fields.split(", ")]
    return structs


def _field(name: str, kind: str = "string", json: str = "") -> tuple[str, str, str]:
    acronym = _ACRONYM.match(name)
    assert acronym is not None
    return name, kind, json or acronym[0].lower() + name[acronym.end() :]


STRUCTS = """
PodTemplateSpec: ObjectMeta ObjectMeta metadata, Spec PodSpec
ObjectMeta: Name, GenerateName, Namespace, SelfLink, UID types.UID, ResourceVersion, Generation int64, CreationTimestamp Time, DeletionTimestamp *Time, DeletionGracePeriodSeconds *int64, Labels map, Annotations map, OwnerReferences []OwnerReference, Finalizers []string, ManagedFields []ManagedFieldsEntry
OwnerReference: APIVersion, Kind, Name, UID types.UID, Controller *bool, BlockOwnerDeletion *bool

PodSpec: Volumes []Volume, InitContainers []Container, Containers []Container, EphemeralContainers []EphemeralContainer, RestartPolicy RestartPolicy, TerminationGracePeriodSeconds *int64, ActiveDeadlineSeconds *int64, DNSPolicy DNSPolicy, NodeSelector map, ServiceAccountName, DeprecatedServiceAccount string serviceAccount, AutomountServiceAccountToken *bool, NodeName, HostNetwork bool, HostPID bool, HostIPC bool, ShareProcessNamespace *bool, SecurityContext *PodSecurityContext, ImagePullSecrets []LocalObjectReference, Hostname, Subdomain, Affinity *Affinity, SchedulerName, Tolerations []Toleration, HostAliases []HostAlias, PriorityClassName, Priority *int32, DNSConfig *PodDNSConfig, ReadinessGates []PodReadinessGate, RuntimeClassName *string, EnableServiceLinks *bool, PreemptionPolicy *PreemptionPolicy, Overhead ResourceList, TopologySpreadConstraints []TopologySpreadConstraint, SetHostnameAsFQDN *bool, OS *PodOS, HostUsers *bool, SchedulingGates []PodSchedulingGate, ResourceClaims []PodResourceClaim, Resources *ResourceRequirements, HostnameOverride *string, SchedulingGroup *PodSchedulingGroup
LocalObjectReference: Name
PodSecurityContext: SELinuxOptions *SELinuxOptions, WindowsOptions *WindowsSecurityContextOptions, RunAsUser *int64, RunAsGroup *int64, RunAsNonRoot *bool, SupplementalGroups []int64, SupplementalGroupsPolicy *SupplementalGroupsPolicy, FSGroup *int64, Sysctls []Sysctl, FSGroupChangePolicy *PodFSGroupChangePolicy, SeccompProfile *SeccompProfile, AppArmorProfile *AppArmorProfile, SELinuxChangePolicy *PodSELinuxChangePolicy
Sysctl: Name, Value
Toleration: Key, Operator TolerationOperator, Value, Effect TaintEffect, TolerationSeconds *int64
HostAlias: IP, Hostnames []string
PodDNSConfig: Nameservers []string, Searches []string, Options []PodDNSConfigOption
PodDNSConfigOption: Name, Value *string
PodReadinessGate: ConditionType PodConditionType
TopologySpreadConstraint: MaxSkew int32, TopologyKey, WhenUnsatisfiable UnsatisfiableConstraintAction, LabelSelector *LabelSelector, MinDomains *int32, NodeAffinityPolicy *NodeInclusionPolicy, NodeTaintsPolicy *NodeInclusionPolicy, MatchLabelKeys []string
PodOS: Name OSName
PodSchedulingGate: Name
PodResourceClaim: Name, ResourceClaimName *string, ResourceClaimTemplateName *string

Affinity: NodeAffinity *NodeAffinity, PodAffinity *PodAffinity, PodAntiAffinity *PodAntiAffinity
NodeAffinity: RequiredDuringSchedulingIgnoredDuringExecution *NodeSelector, PreferredDuringSchedulingIgnoredDuringExecution []PreferredSchedulingTerm
NodeSelector: NodeSelectorTerms []NodeSelectorTerm
NodeSelectorTerm: MatchExpressions []NodeSelectorRequirement, MatchFields []NodeSelectorRequirement
NodeSelectorRequirement: Key, Operator NodeSelectorOperator, Values []string
PreferredSchedulingTerm: Weight int32, Preference NodeSelectorTerm
PodAffinity: RequiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm, PreferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm
PodAntiAffinity: RequiredDuringSchedulingIgnoredDuringExecution []PodAffinityTerm, PreferredDuringSchedulingIgnoredDuringExecution []WeightedPodAffinityTerm
PodAffinityTerm: LabelSelector *LabelSelector, Namespaces []string, TopologyKey, NamespaceSelector *LabelSelector, MatchLabelKeys []string, MismatchLabelKeys []string
WeightedPodAffinityTerm: Weight int32, PodAffinityTerm PodAffinityTerm
LabelSelector: MatchLabels map, MatchExpressions []LabelSelectorRequirement
LabelSelectorRequirement: Key, Operator LabelSelectorOperator, Values []string

EphemeralContainer: Container -, TargetContainerName
Container: Name, Image, Command []string, Args []string, WorkingDir, Ports []ContainerPort, EnvFrom []EnvFromSource, Env []EnvVar, Resources ResourceRequirements, ResizePolicy []ContainerResizePolicy, RestartPolicy *ContainerRestartPolicy, RestartPolicyRules []ContainerRestartRule, VolumeMounts []VolumeMount, VolumeDevices []VolumeDevice, LivenessProbe *Probe, ReadinessProbe *Probe, StartupProbe *Probe, Lifecycle *Lifecycle, TerminationMessagePath, TerminationMessagePolicy TerminationMessagePolicy, ImagePullPolicy PullPolicy, SecurityContext *SecurityContext, Stdin bool, StdinOnce bool, TTY bool
ContainerPort: Name, HostPort int32, ContainerPort int32, Protocol Protocol, HostIP
EnvFromSource: Prefix, ConfigMapRef *ConfigMapEnvSource, SecretRef *SecretEnvSource
ConfigMapEnvSource: LocalObjectReference -, Optional *bool
SecretEnvSource: LocalObjectReference -, Optional *bool
EnvVar: Name, Value, ValueFrom *EnvVarSource
EnvVarSource: FieldRef *ObjectFieldSelector, ResourceFieldRef *ResourceFieldSelector, ConfigMapKeyRef *ConfigMapKeySelector, SecretKeyRef *SecretKeySelector, FileKeyRef *FileKeySelector
ObjectFieldSelector: APIVersion, FieldPath
ResourceFieldSelector: ContainerName, Resource, Divisor resource.Quantity
ConfigMapKeySelector: LocalObjectReference -, Key, Optional *bool
SecretKeySelector: LocalObjectReference -, Key, Optional *bool
FileKeySelector: VolumeName, Path, Key, Optional *bool
ResourceRequirements: Limits ResourceList, Requests ResourceList, Claims []ResourceClaim
ResourceClaim: Name, Request
ContainerResizePolicy: ResourceName ResourceName, RestartPolicy ResourceResizeRestartPolicy
ContainerRestartRule: Action ContainerRestartRuleAction, ExitCodes *ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes: Operator ContainerRestartRuleOnExitCodesOperator, Values []int32
VolumeMount: Name, ReadOnly bool, RecursiveReadOnly *RecursiveReadOnlyMode, MountPath, SubPath, MountPropagation *MountPropagationMode, SubPathExpr
VolumeDevice: Name, DevicePath
Probe: ProbeHandler -, InitialDelaySeconds int32, TimeoutSeconds int32, PeriodSeconds int32, SuccessThreshold int32, FailureThreshold int32, TerminationGracePeriodSeconds *int64
ProbeHandler: Exec *ExecAction, HTTPGet *HTTPGetAction, TCPSocket *TCPSocketAction, GRPC *GRPCAction
Lifecycle: PostStart *LifecycleHandler, PreStop *LifecycleHandler, StopSignal *Signal
LifecycleHandler: Exec *ExecAction, HTTPGet *HTTPGetAction, TCPSocket *TCPSocketAction, Sleep *SleepAction
ExecAction: Command []string
HTTPGetAction: Path, Port intstr.IntOrString, Host, Scheme URIScheme, HTTPHeaders []HTTPHeader
HTTPHeader: Name, Value
TCPSocketAction: Port intstr.IntOrString, Host
GRPCAction: Port int32, Service *string
SleepAction: Seconds int64
SecurityContext: Capabilities *Capabilities, Privileged *bool, SELinuxOptions *SELinuxOptions, WindowsOptions *WindowsSecurityContextOptions, RunAsUser *int64, RunAsGroup *int64, RunAsNonRoot *bool, ReadOnlyRootFilesystem *bool, AllowPrivilegeEscalation *bool, ProcMount *ProcMountType, SeccompProfile *SeccompProfile, AppArmorProfile *AppArmorProfile
Capabilities: Add []Capability, Drop []Capability
SELinuxOptions: User, Role, Type, Level
WindowsSecurityContextOptions: GMSACredentialSpecName *string, GMSACredentialSpec *string, RunAsUserName *string, HostProcess *bool
SeccompProfile: Type SeccompProfileType, LocalhostProfile *string
AppArmorProfile: Type AppArmorProfileType, LocalhostProfile *string

Volume: Name, VolumeSource -
VolumeSource: HostPath *HostPathVolumeSource, EmptyDir *EmptyDirVolumeSource, GCEPersistentDisk *GCEPersistentDiskVolumeSource, AWSElasticBlockStore *AWSElasticBlockStoreVolumeSource, GitRepo *GitRepoVolumeSource, Secret *SecretVolumeSource, NFS *NFSVolumeSource, ISCSI *ISCSIVolumeSource, Glusterfs *GlusterfsVolumeSource, PersistentVolumeClaim *PersistentVolumeClaimVolumeSource, RBD *RBDVolumeSource, FlexVolume *FlexVolumeSource, Cinder *CinderVolumeSource, CephFS *CephFSVolumeSource cephfs, Flocker *FlockerVolumeSource, DownwardAPI *DownwardAPIVolumeSource, FC *FCVolumeSource, AzureFile *AzureFileVolumeSource, ConfigMap *ConfigMapVolumeSource, VsphereVolume *VsphereVirtualDiskVolumeSource, Quobyte *QuobyteVolumeSource, AzureDisk *AzureDiskVolumeSource, PhotonPersistentDisk *PhotonPersistentDiskVolumeSource, Projected *ProjectedVolumeSource, PortworxVolume *PortworxVolumeSource, ScaleIO *ScaleIOVolumeSource, StorageOS *StorageOSVolumeSource storageos, CSI *CSIVolumeSource, Ephemeral *EphemeralVolumeSource, Image *ImageVolumeSource
HostPathVolumeSource: Path, Type *HostPathType
EmptyDirVolumeSource: Medium StorageMedium, SizeLimit *resource.Quantity
GCEPersistentDiskVolumeSource: PDName, FSType, Partition int32, ReadOnly bool
AWSElasticBlockStoreVolumeSource: VolumeID, FSType, Partition int32, ReadOnly bool
GitRepoVolumeSource: Repository, Revision, Directory
SecretVolumeSource: SecretName, Items []KeyToPath, DefaultMode *int32, Optional *bool
KeyToPath: Key, Path, Mode *int32
NFSVolumeSource: Server, Path, ReadOnly bool
ISCSIVolumeSource: TargetPortal, IQN, Lun int32, ISCSIInterface, FSType, ReadOnly bool, Portals []string, DiscoveryCHAPAuth bool chapAuthDiscovery, SessionCHAPAuth bool chapAuthSession, SecretRef *LocalObjectReference, InitiatorName *string
GlusterfsVolumeSource: EndpointsName string endpoints, Path, ReadOnly bool
PersistentVolumeClaimVolumeSource: ClaimName, ReadOnly bool
RBDVolumeSource: CephMonitors []string monitors, RBDImage string image, FSType, RBDPool string pool, RadosUser string user, Keyring, SecretRef *LocalObjectReference, ReadOnly bool
FlexVolumeSource: Driver, FSType, SecretRef *LocalObjectReference, ReadOnly bool, Options map
CinderVolumeSource: VolumeID, FSType, ReadOnly bool, SecretRef *LocalObjectReference
CephFSVolumeSource: Monitors []string, Path, User, SecretFile, SecretRef *LocalObjectReference, ReadOnly bool
FlockerVolumeSource: DatasetName, DatasetUUID
DownwardAPIVolumeSource: Items []DownwardAPIVolumeFile, DefaultMode *int32
DownwardAPIVolumeFile: Path, FieldRef *ObjectFieldSelector, ResourceFieldRef *ResourceFieldSelector, Mode *int32
FCVolumeSource: TargetWWNs []string, Lun *int32, FSType, ReadOnly bool, WWIDs []string wwids
AzureFileVolumeSource: SecretName, ShareName, ReadOnly bool
ConfigMapVolumeSource: LocalObjectReference -, Items []KeyToPath, DefaultMode *int32, Optional *bool
VsphereVirtualDiskVolumeSource: VolumePath, FSType, StoragePolicyName, StoragePolicyID
QuobyteVolumeSource: Registry, Volume, ReadOnly bool, User, Group, Tenant
AzureDiskVolumeSource: DiskName, DataDiskURI string diskURI, CachingMode *AzureDataDiskCachingMode, FSType *string, ReadOnly *bool, Kind *AzureDataDiskKind
PhotonPersistentDiskVolumeSource: PdID, FSType
ProjectedVolumeSource: Sources []VolumeProjection, DefaultMode *int32
VolumeProjection: Secret *SecretProjection, DownwardAPI *DownwardAPIProjection, ConfigMap *ConfigMapProjection, ServiceAccountToken *ServiceAccountTokenProjection, ClusterTrustBundle *ClusterTrustBundleProjection, PodCertificate *PodCertificateProjection
SecretProjection: LocalObjectReference -, Items []KeyToPath, Optional *bool
DownwardAPIProjection: Items []DownwardAPIVolumeFile
ConfigMapProjection: LocalObjectReference -, Items []KeyToPath, Optional *bool
ServiceAccountTokenProjection: Audience, ExpirationSeconds *int64, Path
ClusterTrustBundleProjection: Name *string, SignerName *string, LabelSelector *LabelSelector, Optional *bool, Path
PodCertificateProjection: SignerName, KeyType, MaxExpirationSeconds *int32, CredentialBundlePath, KeyPath, CertificateChainPath, UserAnnotations map
PortworxVolumeSource: VolumeID, FSType, ReadOnly bool
ScaleIOVolumeSource: Gateway, System, SecretRef *LocalObjectReference, SSLEnabled bool, ProtectionDomain, StoragePool, StorageMode, VolumeName, FSType, ReadOnly bool
StorageOSVolumeSource: VolumeName, VolumeNamespace, FSType, ReadOnly bool, SecretRef *LocalObjectReference
CSIVolumeSource: Driver, ReadOnly *bool, FSType *string, VolumeAttributes map, NodePublishSecretRef *LocalObjectReference
EphemeralVolumeSource: VolumeClaimTemplate *PersistentVolumeClaimTemplate
PersistentVolumeClaimTemplate: ObjectMeta ObjectMeta metadata, Spec PersistentVolumeClaimSpec
PersistentVolumeClaimSpec: AccessModes []PersistentVolumeAccessMode, Selector *LabelSelector, Resources VolumeResourceRequirements, VolumeName, StorageClassName *string, VolumeMode *PersistentVolumeMode, DataSource *TypedLocalObjectReference, DataSourceRef *TypedObjectReference, VolumeAttributesClassName *string
VolumeResourceRequirements: Limits ResourceList, Requests ResourceList
TypedLocalObjectReference: APIGroup *string, Kind, Name
TypedObjectReference: APIGroup *string, Kind, Name, Namespace *string
ImageVolumeSource: Reference, PullPolicy PullPolicy

PersistentVolumeSource: GCEPersistentDisk *GCEPersistentDiskVolumeSource, AWSElasticBlockStore *AWSElasticBlockStoreVolumeSource, HostPath *HostPathVolumeSource, Glusterfs *GlusterfsPersistentVolumeSource, NFS *NFSVolumeSource, RBD *RBDPersistentVolumeSource, ISCSI *ISCSIPersistentVolumeSource, Cinder *CinderPersistentVolumeSource, CephFS *CephFSPersistentVolumeSource cephfs, FC *FCVolumeSource, Flocker *FlockerVolumeSource, FlexVolume *FlexPersistentVolumeSource, AzureFile *AzureFilePersistentVolumeSource, VsphereVolume *VsphereVirtualDiskVolumeSource, Quobyte *QuobyteVolumeSource, AzureDisk *AzureDiskVolumeSource, PhotonPersistentDisk *PhotonPersistentDiskVolumeSource, PortworxVolume *PortworxVolumeSource, ScaleIO *ScaleIOPersistentVolumeSource, Local *LocalVolumeSource, StorageOS *StorageOSPersistentVolumeSource storageos, CSI *CSIPersistentVolumeSource
GlusterfsPersistentVolumeSource: EndpointsName string endpoints, Path, ReadOnly bool, EndpointsNamespace *string
RBDPersistentVolumeSource: CephMonitors []string monitors, RBDImage string image, FSType, RBDPool string pool, RadosUser string user, Keyring, SecretRef *SecretReference, ReadOnly bool
ISCSIPersistentVolumeSource: TargetPortal, IQN, Lun int32, ISCSIInterface, FSType, ReadOnly bool, Portals []string, DiscoveryCHAPAuth bool chapAuthDiscovery, SessionCHAPAuth bool chapAuthSession, SecretRef *SecretReference, InitiatorName *string
FlexPersistentVolumeSource: Driver, FSType, SecretRef *SecretReference, ReadOnly bool, Options map
CinderPersistentVolumeSource: VolumeID, FSType, ReadOnly bool, SecretRef *SecretReference
CephFSPersistentVolumeSource: Monitors []string, Path, User, SecretFile, SecretRef *SecretReference, ReadOnly bool
AzureFilePersistentVolumeSource: SecretName, ShareName, ReadOnly bool, SecretNamespace *string
ScaleIOPersistentVolumeSource: Gateway, System, SecretRef *SecretReference, SSLEnabled bool, ProtectionDomain, StoragePool, StorageMode, VolumeName, FSType, ReadOnly bool
LocalVolumeSource: Path, FSType *string
StorageOSPersistentVolumeSource: VolumeName, VolumeNamespace, FSType, ReadOnly bool, SecretRef *ObjectReference
CSIPersistentVolumeSource: Driver, VolumeHandle, ReadOnly bool, FSType, VolumeAttributes map, ControllerPublishSecretRef *SecretReference, NodeStageSecretRef *SecretReference, NodePublishSecretRef *SecretReference, ControllerExpandSecretRef *SecretReference, NodeExpandSecretRef *SecretReference
SecretReference: Name, Namespace
ObjectReference: Kind, Namespace, Name, UID types.UID, APIVersion, ResourceVersion, FieldPath
VolumeNodeAffinity: Required *NodeSelector
PersistentVolumeSpec: Capacity ResourceList, PersistentVolumeSource -, AccessModes []PersistentVolumeAccessMode, ClaimRef *ObjectReference, PersistentVolumeReclaimPolicy PersistentVolumeReclaimPolicy, StorageClassName, MountOptions []string, VolumeMode *PersistentVolumeMode, NodeAffinity *VolumeNodeAffinity, VolumeAttributesClassName *string
VolumeAttachmentSpec: Attacher, Source VolumeAttachmentSource, NodeName
VolumeAttachmentSource: PersistentVolumeName *string, InlineVolumeSpec *PersistentVolumeSpec

PodFailurePolicy: Rules []PodFailurePolicyRule
PodFailurePolicyRule: Action PodFailurePolicyAction, OnExitCodes *PodFailurePolicyOnExitCodesRequirement, OnPodConditions []PodFailurePolicyOnPodConditionsPattern
PodFailurePolicyOnExitCodesRequirement: ContainerName *string, Operator PodFailurePolicyOnExitCodesOperator, Values []int32
PodFailurePolicyOnPodConditionsPattern: Type PodConditionType, Status ConditionStatus
SuccessPolicy: Rules []SuccessPolicyRule
SuccessPolicyRule: SucceededIndexes *string, SucceededCount *int32

ScopeSelector: MatchExpressions []ScopedResourceSelectorRequirement
ScopedResourceSelectorRequirement: ScopeName ResourceQuotaScope, Operator ScopeSelectorOperator, Values []string
"""  # noqa: E501 - a table, one struct a line
