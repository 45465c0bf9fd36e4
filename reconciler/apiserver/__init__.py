"""The Kubernetes API over a versioned store: in process first, HTTP as a thin layer over it.

One code path serves the library, batch, ``up`` and HTTP. From the outside in:

===================  =================================================================================================
``server``           starts and stops the whole: store, control plane, HTTP server in a thread
``http``             the ASGI application: a request to a call of ``Api``, its answer to a response. Authentication and
                     authorisation are ASGI middleware around it and set ``scope["user"]``
``routes``           what a path and method mean: a ``Place`` and a verb
``render``,          answers as JSON, YAML, tables or metadata; a watch as a streamed response
``streams``
``discovery``        /api, /apis, aggregated discovery, /version
``api``              ``Api``: get, list, watch, create, update, patch, delete, deletecollection over any resource; takes
                     and gives plain data, raises ``ApiError``
``subresources``     status, scale, binding, eviction
``options``          the options of requests
``deletion``         what a DELETE does: preconditions, grace, propagation, finalizers
``writer``           create and update: what requests add to the steps of ``rules.registry``
``patching``         patches of all types; ``patches`` has JSON patch and merge patch, ``strategic`` the third
``apply_patch``      server-side apply and ``managedFields``
``admission``        the plug-ins (``rules.plugins``) over what is stored, and what is configured; ``quota`` charges
                     ResourceQuotas
``allocation``       cluster IPs and node ports at the moment when a Service is stored
``decode``,          a body to an object with Go's error messages; an object to the bytes that are stored and sent
``wire``             (``gojson``, ``gotypes``, ``govalues`` and ``zeros`` know how Go reads, ``strict`` what it warns)
``selection``        label and field selectors of a request
``resources``        ``Registry``: what is served under which path; CustomResourceDefinitions add to it
``storage``          objects in a ``state.store``: keys, revisions, a cache of decoded objects; ``reported`` has those
                     that aren't stored (the metrics API)
``watching``         one watch of the store fanned out to any number of clients
``bootstrap``        what every cluster has from its first moment, and (``furniture``) soon after
``control``          controllers and scheduler on the same store: list, watch, decide, write back
``owned_fields``     what they own of the objects that clients made
``status``           ``ApiError``: metav1 Status, one constructor per reason
===================  =================================================================================================

Around these:

===================  =================================================================================================
``auth``             ASGI middleware: who sends a request, whether they may, the audit log; ``auth_server`` puts keys,
                     users and middleware of a server together (``Security``), ``auth_tokens`` knows bearer tokens,
                     ``auth_reviews`` answers access reviews and TokenRequests
``rbac``             what roles and bindings in the store allow; ``rbac_policy``: those that every cluster has;
                     ``rbac_escalation``: nobody gives rights that they don't have
``connections``      what clients may not do to others: dawdle, flood, never read; ``load``: how much is done at once
``health``           /healthz, /livez, /readyz
``metrics``          Prometheus' format; ``measured``: what is measured of a server, and /metrics
``tls``,             certificate authority, serving and client certificates; the file that clients are configured by
``kubeconfig``
``tables``           ``meta.k8s.io`` Tables with the columns of ``reconciler.printers``
``openapi``          OpenAPI v3 and v2: ``openapi_schemas`` from the structs, ``openapi_untyped`` for kinds without one,
                     ``openapi_proto`` as protocol buffer for older kubectl, ``openapi_pages`` over HTTP
``protobuf``         bodies in Kubernetes' protocol buffers, which Go clients send, as JSON
``apply_patch``      with ``apply_fields`` (sets of fields), ``apply_shapes`` (what of a type is owned how) and
                     ``apply_walk`` (values and their fields)
``crd``              serves what is defined in the store; ``crd_kind`` checks definitions, ``crd_schema`` and
                     ``crd_rules`` custom resources, ``crd_columns`` are their printer columns
===================  =================================================================================================
"""
