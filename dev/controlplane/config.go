package main

import (
	"fmt"
	"os"
	"strings"

	"eventcenter.io/dev/controlplane/internal/pki"
)

const (
	apiserverName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"

	// kubeletClient is the only user that may use the node's log endpoint.
	kubeletClient = "kube-apiserver-kubelet-client"
)

// webhookClient is the common name of the client certificate with which the API server
// calls admission webhooks that ask for one.
const webhookClient = "kube-apiserver-webhook-client"

// controllers lists the controllers that an operator and its CronJobs, Jobs, Deployments
// and StatefulSets need. The node lifecycle controller is absent: the only node runs in
// this process, and its pods must not be evicted after a long stop.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"cronjob-controller",
	"deployment-controller",
	"disruption-controller",
	"endpointslice-controller",
	"garbage-collector-controller",
	"job-controller",
	"namespace-controller",
	"pod-garbage-collector-controller",
	"replicaset-controller",
	"resourcequota-controller",
	"root-ca-certificate-publisher-controller",
	"service-cidr-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"statefulset-controller",
	"ttl-after-finished-controller",
	"validatingadmissionpolicy-status-controller",
}

// auditPolicy records the writes of users. Reads and the writes of the cluster's own
// components would only fill the file.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-controller-manager", "system:apiserver"]
- level: None
  userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

// admissionConfig gives the API server the kubeconfig PATH for its calls of admission webhooks.
const admissionConfig = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ValidatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: PATH
- name: MutatingAdmissionWebhook
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: PATH
`

// writeConfig writes every certificate, kubeconfig and policy file of the data directory.
func writeConfig(ca *pki.Authority, server, nodeName string) error {
	if _, err := ca.Key("sa"); err != nil { // signs ServiceAccount tokens
		return err
	}
	// "webhook" is for admission webhooks of tests on 127.0.0.1 (caBundle: ca.crt).
	for _, name := range []string{"apiserver", "node-serving", "webhook"} {
		if err := ca.Serving(name); err != nil {
			return err
		}
	}
	if err := ca.Client("kubelet-client", kubeletClient); err != nil {
		return err
	}
	for _, c := range []struct {
		name, user string
		groups     []string
	}{
		{"admin", "admin", []string{"system:masters"}},
		{"kube-controller-manager", "system:kube-controller-manager", nil},
		// The node also binds pods, as the scheduler would, and there is no node authorizer,
		// so it is a cluster admin. The second group keeps it out of the audit log.
		{"node", "system:node:" + nodeName, []string{"system:masters", "system:nodes"}},
	} {
		if err := ca.Client(c.name, c.user, c.groups...); err != nil {
			return err
		}
		if err := ca.Kubeconfig(c.name, server); err != nil {
			return err
		}
	}
	if err := ca.Client("webhook-client", webhookClient); err != nil {
		return err
	}
	if err := ca.WebhookKubeconfig("webhook-client"); err != nil {
		return err
	}
	config := strings.ReplaceAll(admissionConfig, "PATH", ca.Path("webhook-client.kubeconfig"))
	if err := os.WriteFile(ca.Path("admission.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	return os.WriteFile(ca.Path("audit-policy.yaml"), []byte(auditPolicy), 0o600)
}

func apiserverFlags(ca *pki.Authority, etcd string, port int) []string {
	return []string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--advertise-address=127.0.0.1",
		// A loopback address is not a valid endpoint of the `kubernetes` Service.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--cert-dir=" + ca.Path("."),
		"--tls-cert-file=" + ca.Path("apiserver.crt"),
		"--tls-private-key-file=" + ca.Path("apiserver.key"),
		"--client-ca-file=" + ca.Path("ca.crt"),
		"--kubelet-certificate-authority=" + ca.Path("ca.crt"),
		"--kubelet-client-certificate=" + ca.Path("kubelet-client.crt"),
		"--kubelet-client-key=" + ca.Path("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + ca.Path("sa.key"),
		"--service-account-signing-key-file=" + ca.Path("sa.key"),
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--admission-control-config-file=" + ca.Path("admission.yaml"),
		"--audit-policy-file=" + ca.Path("audit-policy.yaml"),
		"--audit-log-path=" + ca.Path("audit.log"),
		"--audit-log-maxsize=200",
		"--audit-log-maxbackup=1",
		// Twice the defaults, because benchmarks, tests and the node share one server.
		"--max-requests-inflight=800",
		"--max-mutating-requests-inflight=400",
		"--profiling=false",
		"--shutdown-delay-duration=0s",
	}
}

// controllerManagerFlags keeps Kubernetes' default request rates, because benchmarks of
// CronJobs and Jobs measure them.
func controllerManagerFlags(ca *pki.Authority) []string {
	return []string{
		"--kubeconfig=" + ca.Path("kube-controller-manager.kubeconfig"),
		"--controllers=" + strings.Join(controllers, ","),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + ca.Path("sa.key"),
		"--root-ca-file=" + ca.Path("ca.crt"),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
	}
}
