#!/usr/bin/env bash
# What people do with kubectl, as a script that checks what it reads. Against `reconciler serve` with nodes whose pods
# become ready (see tests/reconciler/apiserver/hollow.py), or against any other cluster that may be played with:
#
#     KUBECONFIG=admin.kubeconfig examples/kubectl.sh [SECTION...]
#
# Each section has a namespace of its own, which is deleted at the end. Every command is shown, then run.
set -euo pipefail

sections=(looking creating reading changing applying migrating rolling pods nodes rights admission custom deleting)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "${KUBECONFIG:?is not set}" "$folder/config"
export KUBECONFIG=$folder/config KUBECACHEDIR=$folder/cache # of discovery: what it holds of `boats` is wrong later on

die() { echo "FAILED: $*" >&2; exit 1; }

# says TEXT ARGS...: the command succeeds and prints the text (standard input is passed on).
says() {
    local expected=$1 out; shift
    echo "\$ kubectl ${*@Q}"
    out=$(kubectl "$@" 2>&1) || die "exit status $?: $out"
    echo "$out"
    [[ $out == *"$expected"* ]] || die "expected to read: $expected"
}

# fails TEXT ARGS...: the command fails and says the text.
fails() {
    local expected=$1 out; shift
    echo "\$ kubectl ${*@Q}"
    out=$(kubectl "$@" 2>&1) && die "expected a failure, found: $out"
    echo "$out"
    [[ $out == *"$expected"* ]] || die "expected to read: $expected"
}

# tries TEXT ARGS...: the command succeeds, or says that the server has nothing behind it.
tries() {
    local expected=$1 out; shift
    echo "\$ kubectl ${*@Q}"
    out=$(kubectl "$@" 2>&1) || [[ $out == *"$expected"* ]] || die "neither done nor '$expected': $out"
    echo "$out"
}

# becomes TEXT ARGS...: the command prints exactly the text, soon.
becomes() {
    local expected=$1 out=; shift
    echo "\$ kubectl ${*@Q}"
    for _ in {1..200}; do
        out=$(kubectl "$@" 2>&1) && [[ $out == "$expected" ]] && { echo "$out"; return; }
        sleep 0.1
    done
    die "expected to read: $expected, found: $out"
}

deployment() { # NAME IMAGE REPLICAS
    cat <<END
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $3
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec: {containers: [{name: c, image: "$2"}]}
END
}

# A certificate request for CN=tour, in base64.
csr=LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlISk1IRUNBUUF3RHpFTk1Bc0dBMVVFQXd3RWRHOTFjakJaTUJNR0J5cUdTTT\
Q5QWdFR0NDcUdTTTQ5QXdFSApBMElBQk5IbHZFeW5iK1ZxdHNsaE04QjN3M1YxSUxmMXZaTmxDSyszK0JVeE45WS9wQmM3czQyQTNjVEhrWC9F\
CjhURjRZSXQxR01LYlJkV3BwQW5CZitTMlZtMmdBREFLQmdncWhrak9QUVFEQWdOSUFEQkZBaUJiU2JPMW43WUQKMFk2a2xNTlNBN2g1WUc4V1\
lUeFlSbFQ5Rm5Ca1RQa1VGd0loQU1NSkladXdjNG91QlZxcDhLQnUrb3EwMTl2QQpFQURuMGJMeDA1Z0dxTjc3Ci0tLS0tRU5EIENFUlRJRklD\
QVRFIFJFUVVFU1QtLS0tLQo=

request() {
    cat <<END
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: tour-request}
spec: {signerName: example.com/tour, usages: [client auth], request: "$csr"}
END
}

looking() {
    says 'is running at' cluster-info
    says 'Server Version: v1.' version
    says '"gitVersion"' get --raw /version
    says 'ok' get --raw /readyz
    says 'Warning: v1 ComponentStatus is deprecated in v1.19+' get componentstatuses
    says 'current-context: ' config view --minify
    says 'Username' auth whoami
    says 'deploy       apps/v1                           true         Deployment' api-resources
    says 'horizontalpodautoscalers' api-resources --categories=all -o name
    says 'events.k8s.io/v1' api-versions
    says 'image' explain pod.spec.containers
    says 'maxSurge' explain deployment.spec.strategy.rollingUpdate
    says 'targetCPUUtilizationPercentage' explain horizontalpodautoscaler.spec --api-version=autoscaling/v1
    says '<[]NetworkPolicyPeer>' explain networkpolicy.spec.ingress --recursive
    fails "doesn't have a resource type" explain nonsense
    fails "doesn't have a resource type \"nonsense\"" get nonsense
    says 'kubernetes' get service kubernetes --namespace=default
    says 'kube-system' get namespaces
    says 'Active' get namespace default -o wide
}

creating() {
    says 'deployment.apps/web created' create deployment web --image=nginx:1 --replicas=2 --port=80
    says 'service/web exposed' expose deployment web --port=80 --target-port=8080
    says 'service/plain created' create service clusterip plain --tcp=80:8080
    says 'service/node created' create service nodeport node --tcp=80
    says 'service/balanced created' create service loadbalancer balanced --tcp=80
    says 'service/outside created' create service externalname outside --external-name=example.com
    says '<pending>' get service balanced
    says 'example.com' get service outside
    says 'configmap/settings created' create configmap settings --from-literal=a=1 --from-literal=b=2
    says 'secret/word created' create secret generic word --from-literal=password=secret
    says 'secret/registry created' create secret docker-registry registry --docker-server=r --docker-username=u --docker-password=p
    says 'password:  6 bytes' describe secret word
    says 'job.batch/once created' create job once --image=busybox -- true
    says 'cronjob.batch/nightly created' create cronjob nightly --image=busybox --schedule='0 3 * * *' -- true
    says 'job.batch/now created' create job now --from=cronjob/nightly
    says 'job.batch/once condition met' wait --for=condition=complete job/once --timeout=20s
    says 'resourcequota/pods created' create quota pods --hard=pods=20,services=10
    says 'Used' describe quota pods
    says 'poddisruptionbudget.policy/web created' create poddisruptionbudget web --selector=app=web --min-available=1
    says 'ingress.networking.k8s.io/web created' create ingress web --rule='shop.example/cart*=web:80'
    says 'shop.example' describe ingress web
    says 'serviceaccount/robot created' create serviceaccount robot
    says 'role.rbac.authorization.k8s.io/reader created' create role reader --verb=get,list --resource=pods
    says 'rolebinding.rbac.authorization.k8s.io/reader created' create rolebinding reader --role=reader --user=jane
    says 'priorityclass.scheduling.k8s.io/tour-high created' create priorityclass tour-high --value=1000
    says 'deleted' delete priorityclass tour-high
    says 'clusterrole.rbac.authorization.k8s.io/tour-nodes created' create clusterrole tour-nodes --verb=get --resource=nodes
    says 'deleted' delete clusterrole tour-nodes
    says '(server dry run)' create configmap never --from-literal=a=b --dry-run=server
    says 'kind: ConfigMap' create configmap never --from-literal=a=b --dry-run=client -o yaml
    fails 'configmaps "never" not found' get configmap never
    fails 'deployments.apps "web" already exists' create deployment web --image=nginx
    says 'horizontalpodautoscaler.autoscaling/web autoscaled' autoscale deployment web --min=1 --max=4 --cpu-percent=60
    says 'Deployment/web' get hpa web
    local thing
    for thing in deployment/web service/web configmap/settings job/once cronjob/nightly quota/pods pdb/web ingress/web \
        hpa/web serviceaccount/robot role/reader rolebinding/reader clusterrole/view namespace/tour-creating; do
        says "Name: " describe "$thing"
    done
    says 'Max replicas' describe hpa web
}

reading() {
    says 'created' create deployment web --image=nginx:1 --replicas=2
    says 'successfully rolled out' rollout status deployment/web --timeout=30s
    says 'CONTAINERS   IMAGES    SELECTOR' get deployment web -o wide
    says '2/2     2            2' get deployment web
    says 'NOMINATED NODE   READINESS GATES' get pods -o wide
    says 'image: nginx:1' get deployment web -o yaml
    says '"image": "nginx:1"' get deployment web -o json
    becomes '2 nginx:1' get deployment web -o jsonpath='{.status.readyReplicas} {.spec.template.spec.containers[*].image}'
    becomes 'web' get deployments -o go-template='{{range .items}}{{.metadata.name}}{{end}}'
    becomes 'deployment.apps/web' get deployments -o name
    says 'NAME   IMAGE' get deployments -o custom-columns=NAME:.metadata.name,IMAGE:.spec.template.spec.containers[0].image
    says 'pod/web-' get pods --sort-by=.metadata.creationTimestamp -o name
    says 'LABELS' get pods --show-labels
    says 'web-' get pods -l 'app in (web),!other' --field-selector=status.phase=Running -L app
    says 'web-' get pods --chunk-size=1 -A
    fails 'field label not supported: colour' get pods --field-selector=colour=red
    fails "unable to parse requirement" get pods -l 'a in b'
    says 'replicaset.apps/web-' get all
    says 'NewReplicaSet:' describe deployment web
    says 'Controlled By:' describe pods -l app=web
    says 'ScalingReplicaSet' events --for=deployment/web
    says 'SuccessfulCreate' get events --sort-by=.lastTimestamp
    says 'Scheduled' get events --field-selector=reason=Scheduled -o wide
    says 'note: ' get events.v1.events.k8s.io -o yaml
    says 'web-' get pods --watch --request-timeout=1s
    says '"kind":"PodList"' get --raw "/api/v1/namespaces/tour-reading/pods?limit=1"
}

changing() {
    says 'created' create deployment web --image=nginx:1 --replicas=2
    says 'deployment.apps/web labeled' label deployment web tier=front
    fails "'tier' already has a value (front), and --overwrite is false" label deployment web tier=back
    says 'labeled' label deployment web tier=back --overwrite
    says 'unlabeled' label deployment web tier-
    says 'annotated' annotate deployment web note=hello
    says 'patched' patch deployment web -p '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","env":[{"name":"A","value":"1"}]}]}}}}'
    says 'patched' patch deployment web --type=merge -p '{"spec":{"minReadySeconds":0,"paused":false}}'
    says 'patched' patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":3}]'
    says 'patched (no change)' patch deployment web --type=merge -p '{"spec":{"replicas":3}}'
    fails 'is invalid' patch deployment web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":-1}]'
    says 'scaled' patch deployment web --subresource=scale --type=merge -p '{"spec":{"replicas":2}}' -o go-template='scaled'
    says 'image updated' set image deployment/web nginx=nginx:2
    says 'env updated' set env deployment/web B=2
    says 'B=2' set env deployment/web --list
    says 'resource requirements updated' set resources deployment/web --requests=cpu=10m,memory=16Mi --limits=memory=32Mi
    says 'created' create serviceaccount robot
    says 'serviceaccount updated' set serviceaccount deployment/web robot
    says 'created' create role reader --verb=get --resource=pods
    says 'created' create rolebinding reader --role=reader --user=jane
    says 'subjects updated' set subject rolebinding reader --user=joe
    fails 'cannot change roleRef' patch rolebinding reader --type=merge -p '{"roleRef":{"name":"other"}}'
    says 'patched' patch role reader -p '{"metadata":{"labels":{"a":"b"}}}'
    says 'exposed' expose deployment web --port=80
    says 'selector updated' set selector service web app=web,tier=front
    KUBE_EDITOR='sed -i s/replicas:.2/replicas:\ 1/' says 'edited' edit deployment web
    becomes 1 get deployment web -o jsonpath='{.spec.replicas}'
    KUBE_EDITOR=true says 'Edit cancelled, no changes made.' edit deployment web
    kubectl get deployment web -o yaml | sed 's/minReadySeconds: .*/minReadySeconds: 1/' >"$folder/web.yaml"
    says 'deployment.apps/web replaced' replace -f "$folder/web.yaml"
    says 'replaced' replace --force -f - <<<"$(deployment web nginx:3 1)"
    says 'successfully rolled out' rollout status deployment/web --timeout=30s
}

applying() {
    says 'deployment.apps/web created' apply -f - <<<"$(deployment web nginx:1 1)"
    says 'deployment.apps/web unchanged' apply -f - <<<"$(deployment web nginx:1 1)"
    says '"replicas": 1' apply view-last-applied deployment/web -o json
    deployment web nginx:1 2 >"$folder/web.yaml"
    fails '+  replicas: 2' diff -f "$folder/web.yaml"
    says 'deployment.apps/web configured (server dry run)' apply --dry-run=server -f "$folder/web.yaml"
    says 'deployment.apps/web configured' apply -f "$folder/web.yaml"
    says '' diff -f "$folder/web.yaml"
    says 'serverside-applied' apply --server-side -f "$folder/web.yaml"
    says 'scaled' scale deployment web --replicas=4
    fails 'conflict with "kubectl"' apply --server-side -f "$folder/web.yaml"
    says 'serverside-applied' apply --server-side --force-conflicts -f "$folder/web.yaml"
    says 'manager: kubectl' get deployment web -o yaml --show-managed-fields
    fails 'unknown field "spec.replica"' apply -f - <<<"$(deployment wrong nginx:1 1 | sed 's/replicas:/replica:/')"
    fails 'spec.replicas: Invalid value: -1' apply -f - <<<"$(deployment wrong nginx:1 -1)"
    fails 'no matches for kind "Nonsense"' apply -f - <<<'{"apiVersion":"apps/v1","kind":"Nonsense","metadata":{"name":"x"}}'
    local ingress='apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}'
    says 'ingress.networking.k8s.io/web created' apply -f - <<<"$ingress"
    says 'ingress.networking.k8s.io/web configured' apply -f - <<<"${ingress/80/81}"
    says 'ingress.networking.k8s.io/web serverside-applied' apply --server-side -f - <<<"${ingress/80/81}"
    fails 'defaultBackend` or `rules` must be specified' apply --server-side --force-conflicts -f - <<<"${ingress%spec:*}"
    local scaler='apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {maxReplicas: 3, targetCPUUtilizationPercentage: 70, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}'
    says 'created' apply -f - <<<"$scaler"
    says 'configured' apply -f - <<<"${scaler/70/60}"
    says 'averageUtilization: 60' get hpa web -o yaml
    says 'deleted' delete -f "$folder/web.yaml"
}

rolling() {
    says 'created' create deployment web --image=nginx:1 --replicas=3
    says 'successfully rolled out' rollout status deployment/web --timeout=30s
    says 'image updated' set image deployment/web nginx=nginx:2
    says 'successfully rolled out' rollout status deployment/web --timeout=30s
    says 'REVISION  CHANGE-CAUSE' rollout history deployment/web
    says 'nginx:1' rollout history deployment/web --revision=1
    says 'rolled back' rollout undo deployment/web
    says 'successfully rolled out' rollout status deployment/web --timeout=30s
    becomes 'nginx:1' get deployment web -o jsonpath='{.spec.template.spec.containers[0].image}'
    fails 'unable to find specified revision 9' rollout undo deployment/web --to-revision=9
    says 'paused' rollout pause deployment/web
    fails 'is already paused' rollout pause deployment/web
    says 'resumed' rollout resume deployment/web
    says 'restarted' rollout restart deployment/web
    says 'successfully rolled out' rollout status deployment/web --timeout=30s
    says 'scaled' scale deployment web --replicas=5 --current-replicas=3
    says 'NAME   DESIRED   AVAILABLE' get deployment web --subresource=scale
    fails 'Expected replicas to be 9, was 5' scale deployment web --replicas=1 --current-replicas=9
    says 'condition met' wait --for=jsonpath='{.status.readyReplicas}'=5 deployment/web --timeout=30s
    says 'condition met' wait --for=condition=Available deployment/web --timeout=30s
    fails 'timed out waiting for the condition' wait --for=condition=Nonsense deployment/web --timeout=0.2s
    says 'statefulset.apps/db created' apply -f - <<END
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: "db:1"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: "agent:1"}]}
END
    says '2 new pods have been updated' rollout status statefulset/db --timeout=30s
    says 'successfully rolled out' rollout status daemonset/agent --timeout=30s
    says 'image updated' set image statefulset/db c=db:2
    says '2 new pods have been updated' rollout status statefulset/db --timeout=30s
    says 'rolled back' rollout undo statefulset/db
    says 'restarted' rollout restart daemonset/agent
    says 'successfully rolled out' rollout status daemonset/agent --timeout=30s
    says 'statefulset.apps/db' get controllerrevisions
    says 'Pods Status:' describe statefulset db
    says 'Desired Number of Nodes Scheduled:' describe daemonset agent
}

pods() {
    says 'pod/solo created' run solo --image=busybox --restart=Never --labels=one=two --env=A=b -- sleep 1000
    says 'pod/solo condition met' wait --for=condition=Ready pod/solo --timeout=30s
    says 'service/solo exposed' expose pod solo --port=80
    says 'QoS Class:' describe pod solo
    tries 'keeps logs' logs solo
    tries 'pods/exec is not supported by this server' exec solo -- true
    tries 'pods/exec is not supported by this server' cp "$folder/config" solo:/config
    tries 'pods/attach is not supported by this server' attach solo
    tries 'pods/portforward is not supported by this server' port-forward pod/solo :80
    says 'Defaulting debug container name' debug solo --image=busybox --profile=general
    says 'debugger-' get pod solo -o jsonpath='{.spec.ephemeralContainers[0].name}'
    says 'image: busybox:2' patch pod solo -p '{"spec":{"containers":[{"name":"solo","image":"busybox:2"}]}}' -o yaml
    fails 'pod updates may not change fields other than' patch pod solo -p '{"spec":{"nodeName":"elsewhere"}}'
    says 'patched' patch pod solo --subresource=resize -p '{"spec":{"containers":[{"name":"solo","resources":{}}]}}'
    says 'deleted' delete pod solo --grace-period=0 --force
}

nodes() {
    local node; node=$(kubectl get nodes -o jsonpath='{.items[0].metadata.name}')
    says 'Ready' get nodes -o wide
    says 'Allocated resources:' describe node "$node"
    says 'labeled' label node "$node" tour=here
    says 'tainted' taint node "$node" tour=here:PreferNoSchedule
    fails "already has tour taint" taint node "$node" tour=there:PreferNoSchedule
    says 'untainted' taint node "$node" tour-
    says 'created' create deployment pinned --image=nginx --replicas=1
    says 'patched' patch deployment pinned -p '{"spec":{"template":{"spec":{"nodeSelector":{"tour":"here"}}}}}'
    says 'successfully rolled out' rollout status deployment/pinned --timeout=30s
    says 'created' create poddisruptionbudget pinned --selector=app=pinned --min-available=1
    becomes 1 get poddisruptionbudget pinned -o jsonpath='{.status.currentHealthy}'
    local mine=(--pod-selector=app=pinned --ignore-daemonsets --timeout=1s)
    fails "Cannot evict pod as it would violate the pod's disruption budget." drain "$node" "${mine[@]}"
    says 'SchedulingDisabled' get node "$node"
    says 'deleted' delete poddisruptionbudget pinned
    says 'evicted' drain "$node" "${mine[@]/1s/30s}"
    says 'uncordoned' uncordon "$node"
    says 'already uncordoned' uncordon "$node"
    says 'cordoned' cordon "$node"
    says 'uncordoned' uncordon "$node"
    says 'unlabeled' label node "$node" tour-
    says 'created' create -f - <<<"$(request)"
    says 'approved' certificate approve tour-request
    becomes Approved get csr tour-request -o jsonpath='{.status.conditions[*].type}'
    says 'deleted' delete csr tour-request
    tries 'Metrics API not available' top nodes
    tries 'Metrics API not available' top pods
}

rights() {
    says 'created' create serviceaccount robot
    says 'created' create role reader --verb=get,list,watch --resource=pods,pods/log
    says 'created' create rolebinding reader --role=reader --serviceaccount=tour-rights:robot
    local robot=--as=system:serviceaccount:tour-rights:robot
    says 'yes' auth can-i delete nodes
    says 'yes' auth can-i list pods $robot
    fails 'no' auth can-i list secrets $robot
    says 'pods' auth can-i --list $robot
    fails 'User "system:serviceaccount:tour-rights:robot" cannot list resource "secrets" in API group "" in the namespace "tour-rights"' get secrets $robot
    says 'system:serviceaccount:tour-rights:robot' auth whoami $robot
    local token; token=$(kubectl create token robot --duration=10m)
    kubectl config set-credentials robot --token="$token" >"$folder/out"
    says 'system:serviceaccount:tour-rights:robot' auth whoami --user=robot
    fails 'is forbidden' get nodes --user=robot
    says 'reconciled' auth reconcile -f - <<<"$(kubectl get role reader -o yaml)"
    fails 'verbs must contain at least one value' apply -f - <<<'{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"x"},"rules":[{"resources":["pods"],"apiGroups":[""],"verbs":[]}]}'
}

migrating() { # from kubectl's apply to the server's, and kubectl's rarer ways to change things
    local map='{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","labels":{"g":"m"}},"data":{"a":"1"}}'
    says 'configmap/m created' apply -f - <<<"$map"
    fails '+  a: "2"' diff --server-side -f - <<<"${map/\"1\"/\"2\"}"
    says 'serverside-applied' apply --server-side -f - <<<"${map/\"1\"/\"2\"}"
    says '"a": "2"' apply view-last-applied configmap/m -o json
    says 'configured' apply -f - <<<"${map/\"1\"/\"2\"}"
    fails '1 conflict: conflict with "kubectl": .data.a' apply --server-side --field-manager=other -f - <<<"$map"
    says 'serverside-applied' apply --server-side --field-manager=other --force-conflicts -f - <<<"$map"
    says 'manager: other' get configmap m -o yaml --show-managed-fields
    says 'configmap/m configured' apply set-last-applied -f - --create-annotation <<<"$map"
    says 'configmap/m replaced' replace --force -f - <<<"$map"
    says 'configmap/n created' apply -f - <<<"${map/\"m\"/\"n\"}"
    says 'configmap/n pruned' apply --prune --prune-allowlist=core/v1/ConfigMap -l g=m -f - <<<"$map"
    fails 'unknown patch type: nope in map: map[$patch:nope]' patch configmap m -p '{"data":{"$patch":"nope"}}'
    fails 'cannot restore map from int64' patch configmap m -p '{"data":1}'
    fails 'json: cannot unmarshal string into Go value of type map' patch configmap m -p 'nonsense'
    fails 'The request is invalid' patch configmap m --type=json -p '[{"op":"remove","path":"/data/b"}]'
    says '{"a":"1","b":"2"}' patch configmap m --type=merge -p '{"data":{"b":"2"}}' -o jsonpath='{.data}'
    fails 'already has a value' label configmap m g=n
    says 'labeled' label configmap m g=n --overwrite
    fails 'the object has been modified' label configmap m g=o --overwrite --resource-version=1
    says 'condition met' wait --for=jsonpath='{.data.a}'=1 configmap/m --timeout=10s
    says 'condition met' wait --for=create configmap/m --timeout=10s
    says 'created' create priorityclass tour-high --value=1000 --preemption-policy=Never
    says 'deleted' delete priorityclass tour-high
    says 'created' create ingress i --rule='example.com/a*=web:80,tls=secret'
    says 'web:80' describe ingress i
    says 'created' create cronjob c --image=i --schedule='*/5 * * * *' -- date
    fails 'expected exactly 5 fields, found 1: [bad]' create cronjob d --image=i --schedule=bad
    says 'created' create job from-cron --from=cronjob/c
    says 'created' create quota q --hard=configmaps=50
    says 'configmaps: ' get quota q
}

admission() {
    says 'validatingadmissionpolicy.admissionregistration.k8s.io/tour-replicas created' apply -f - <<END
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: tour-replicas}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}]
  variables: [{name: most, expression: "int(params.data.most)"}]
  validations:
  - expression: object.spec.replicas <= variables.most
    messageExpression: "'at most ' + string(variables.most) + ' replicas'"
    reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: tour-replicas}
spec:
  policyName: tour-replicas
  paramRef: {name: limits, namespace: tour-admission, parameterNotFoundAction: Deny}
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: tour-admission}}}
END
    fails 'no params found for policy binding' create deployment web --image=nginx
    says 'created' create configmap limits --from-literal=most=3
    fails "ValidatingAdmissionPolicy 'tour-replicas' with binding 'tour-replicas' denied request: at most 3 replicas" \
        create deployment web --image=nginx --replicas=5
    says 'created' create deployment web --image=nginx --replicas=2
    fails 'at most 3 replicas' patch deployment web -p '{"spec":{"replicas":4}}'
    says 'patched' patch validatingadmissionpolicybinding tour-replicas --type=merge -p '{"spec":{"validationActions":["Warn"]}}'
    says 'Warning: Validation failed for ValidatingAdmissionPolicy' patch deployment web -p '{"spec":{"replicas":4}}'
    says 'VALIDATIONS   PARAMKIND' get validatingadmissionpolicies
    says 'tour-admission/limits' get validatingadmissionpolicybindings
    says 'What has to be true, in CEL' explain validatingadmissionpolicy.spec.validations.expression
    fails 'compilation failed: ERROR: <input>:1:11: Syntax error' patch validatingadmissionpolicy tour-replicas \
        --type=merge -p '{"spec":{"validations":[{"expression":"object.x ++"}]}}'
    says 'patched' patch validatingadmissionpolicy tour-replicas --type=json \
        -p '[{"op":"replace","path":"/spec/validations/0/expression","value":"object.spec.replica < 3"}]'
    becomes 'spec.validations[0].expression' get validatingadmissionpolicy tour-replicas \
        -o jsonpath='{.status.typeChecking.expressionWarnings[0].fieldRef}'
    says "undefined field 'replica'" describe validatingadmissionpolicy tour-replicas
    says 'deleted' delete validatingadmissionpolicybinding tour-replicas
    says 'deleted' delete validatingadmissionpolicy tour-replicas
    says 'scaled' scale deployment web --replicas=5
    says 'mutatingadmissionpolicy.admissionregistration.k8s.io/tour-label created' apply -f - <<END
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: tour-label}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: tour-admission}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{metadata: Object.metadata{labels: {"tour": object.metadata.name}}}'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: tour-label}
spec: {policyName: tour-label}
END
    says '{"tour":"labelled"}' create configmap labelled -o jsonpath='{.metadata.labels}'
    says 'deleted' delete mutatingadmissionpolicy,mutatingadmissionpolicybinding tour-label
    local client='{"url":"https://127.0.0.1:9/admit"}' rule='{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}'
    local about='{"matchLabels":{"kubernetes.io/metadata.name":"tour-admission"}}'
    says 'tour-hook created' create -f - <<<'{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingWebhookConfiguration","metadata":{"name":"tour-hook"},"webhooks":[{"name":"hook.example.com","admissionReviewVersions":["v1"],"sideEffects":"None","clientConfig":'"$client"',"namespaceSelector":'"$about"',"rules":['"$rule"']}]}'
    fails 'failed calling webhook "hook.example.com": failed to call webhook: Post "https://127.0.0.1:9/admit?timeout=10s": dial tcp 127.0.0.1:9: connect: connection refused' \
        create configmap other
    says 'patched' patch validatingwebhookconfiguration tour-hook --type=json -p '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]'
    says 'created' create configmap other
    says 'WEBHOOKS' get validatingwebhookconfigurations
    says 'deleted' delete validatingwebhookconfiguration tour-hook
}

custom() {
    says 'created' apply -f - <<END
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.tour.example.com}
spec:
  group: tour.example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, shortNames: [bt], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.crew, statusReplicasPath: .status.crew}}
    additionalPrinterColumns: [{name: Crew, type: integer, jsonPath: .spec.crew}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [crew]
            properties: {crew: {type: integer, minimum: 1, description: How many row.}, colour: {type: string, default: red}}
          status: {type: object, properties: {crew: {type: integer}}}
END
    becomes True get crd boats.tour.example.com -o jsonpath='{.status.conditions[?(@.type=="Established")].status}'
    says 'condition met' wait --for=condition=established crd/boats.tour.example.com --timeout=20s
    says 'boats' api-resources --api-group=tour.example.com
    says 'How many row.' explain boat.spec.crew
    local boat='{"apiVersion":"tour.example.com/v1","kind":"Boat","metadata":{"name":"ada"},"spec":{"crew":3}}'
    says 'boat.tour.example.com/ada created' apply -f - <<<"$boat"
    says 'unchanged' apply -f - <<<"$boat"
    says 'CREW' get bt
    becomes 'red' get boat ada -o jsonpath='{.spec.colour}'
    says 'boat.tour.example.com/ada' get all -o name
    says 'patched' patch boat ada --type=merge -p '{"spec":{"colour":"blue"}}'
    fails 'spec.crew in body should be greater than or equal to 1' patch boat ada --type=merge -p '{"spec":{"crew":0}}'
    fails 'unknown field "spec.sail"' apply -f - <<<"${boat/\"crew\":3/\"crew\":3,\"sail\":1}"
    says 'Kind:         Boat' describe boat ada
    says 'deleted' delete boat ada
    says 'deleted' delete crd boats.tour.example.com
}

deleting() {
    says 'created' create deployment web --image=nginx --replicas=2
    says 'successfully rolled out' rollout status deployment/web --timeout=30s
    says 'deployment.apps "web" deleted' delete deployment web --cascade=orphan
    says 'replicaset.apps/web-' get replicasets -o name
    says 'deleted' delete replicaset -l app=web --cascade=foreground
    becomes '' get pods -o name
    says 'created' create configmap one --from-literal=a=b
    says 'created' create configmap two --from-literal=a=b
    says 'labeled' label configmap one two shelf=a
    says 'configmap "two" deleted' delete configmap -l shelf=a
    fails 'configmaps "one" not found' delete configmap one
    says '' delete configmap one --ignore-not-found
    says 'created' run solo --image=busybox
    says 'deleted' delete pod solo --now
    says 'created' run solo --image=busybox
    says 'pod "solo" deleted' delete pods --all --wait=false
    says '' wait --for=delete pod/solo --timeout=30s
    says 'created' create namespace tour-short
    says 'created' create configmap inside --from-literal=a=b --namespace=tour-short
    says 'namespace "tour-short" deleted' delete namespace tour-short --timeout=30s
    fails 'namespaces "tour-short" not found' create configmap inside --from-literal=a=b --namespace=tour-short
}

for section in "${@:-${sections[@]}}"; do
    echo "## $section"
    says 'created' create namespace "tour-$section"
    kubectl config set-context --current --namespace="tour-$section" >"$folder/out"
    becomes default get serviceaccount default -o jsonpath='{.metadata.name}' # without it no pod is taken
    "$section"
    says 'deleted' delete namespace "tour-$section" --wait=false
done
