package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podresource "k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// volumesVariable contains the folder of the pod's volumes; the guard identifies the
// processes of pods by it.
const volumesVariable = "POD_VOLUMES"

// environment is the complete environment of a container: only PATH is inherited from this
// process.
type environment struct {
	values map[string]string
}

func (e environment) list() []string {
	var l []string
	for k, v := range e.values {
		l = append(l, k+"="+v)
	}
	sort.Strings(l)
	return l
}

// environment resolves the container's variables. The caller retries an error, because a
// change of another object can resolve it.
func (n *Node) environment(ctx context.Context, pod *corev1.Pod, spec *corev1.Container) (environment, error) {
	dir := n.podDir(pod.UID)
	e := environment{values: map[string]string{
		"PATH":                     os.Getenv("PATH"),
		"HOME":                     filepath.Join(dir, spec.Name),
		"HOSTNAME":                 pod.Name,
		"KUBERNETES_SERVICE_HOST":  address,
		"KUBERNETES_SERVICE_PORT":  strconv.Itoa(n.cfg.ServerPort),
		volumesVariable:            filepath.Join(dir, volumesFolder),
		"TERMINATION_MESSAGE_PATH": n.messageFile(pod, spec),
	}}
	if hasCredentials(pod) {
		e.values["KUBECONFIG"] = filepath.Join(dir, kubeconfigFile)
	}
	sources := &sources{node: n, namespace: pod.Namespace}
	for _, from := range spec.EnvFrom {
		values, err := sources.envFrom(ctx, from)
		if err != nil {
			return e, err
		}
		for k, v := range values {
			if !strings.Contains(k, "=") {
				e.values[from.Prefix+k] = v
			}
		}
	}
	mapping := expansion.MappingFuncFor(e.values)
	for _, v := range spec.Env {
		value, ok := expansion.Expand(v.Value, mapping), true
		if v.ValueFrom != nil {
			var err error
			if value, ok, err = sources.valueFrom(ctx, pod, spec, v.ValueFrom); err != nil {
				return e, fmt.Errorf("env %s: %w", v.Name, err)
			}
		}
		if ok {
			e.values[v.Name] = value
		}
	}
	return e, nil
}

// sources reads ConfigMaps and Secrets and caches them.
type sources struct {
	node       *Node
	namespace  string
	configMaps map[string]map[string][]byte
	secrets    map[string]map[string][]byte
}

// caConfigMap exists in every namespace, but is created slightly later than the namespace.
const caConfigMap = "kube-root-ca.crt"

// configMap returns nil if the ConfigMap is optional and missing.
func (s *sources) configMap(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	if name == caConfigMap {
		return map[string][]byte{"ca.crt": s.node.cfg.CA}, nil
	}
	if data, ok := s.configMaps[name]; ok {
		return data, nil
	}
	cm, err := s.node.client.CoreV1().ConfigMaps(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{}
	for k, v := range cm.Data {
		data[k] = []byte(v)
	}
	for k, v := range cm.BinaryData {
		data[k] = v
	}
	if s.configMaps == nil {
		s.configMaps = map[string]map[string][]byte{}
	}
	s.configMaps[name] = data
	return data, nil
}

// secret returns nil if the Secret is optional and missing.
func (s *sources) secret(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	if data, ok := s.secrets[name]; ok {
		return data, nil
	}
	secret, err := s.node.client.CoreV1().Secrets(s.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.secrets == nil {
		s.secrets = map[string]map[string][]byte{}
	}
	s.secrets[name] = secret.Data
	return secret.Data, nil
}

// envFrom returns the variables of an envFrom entry.
func (s *sources) envFrom(ctx context.Context, from corev1.EnvFromSource) (map[string]string, error) {
	var data map[string][]byte
	var err error
	switch {
	case from.ConfigMapRef != nil:
		data, err = s.configMap(ctx, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		data, err = s.secret(ctx, from.SecretRef.Name, from.SecretRef.Optional)
	}
	values := map[string]string{}
	for k, v := range data {
		values[k] = string(v)
	}
	return values, err
}

// valueFrom returns the value of a valueFrom; ok is false if it is optional and missing.
func (s *sources) valueFrom(ctx context.Context, pod *corev1.Pod, spec *corev1.Container, from *corev1.EnvVarSource) (value string, ok bool, err error) {
	var data map[string][]byte
	var kind, name, key string
	var optional *bool
	switch {
	case from.FieldRef != nil:
		value, err = field(pod, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err = resourceField(pod, spec, from.ResourceFieldRef)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		r := from.ConfigMapKeyRef
		kind, name, key, optional = "ConfigMap", r.Name, r.Key, r.Optional
		data, err = s.configMap(ctx, name, optional)
	case from.SecretKeyRef != nil:
		r := from.SecretKeyRef
		kind, name, key, optional = "Secret", r.Name, r.Key, r.Optional
		data, err = s.secret(ctx, name, optional)
	default:
		return "", false, fmt.Errorf("this node supports only fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef")
	}
	if err != nil {
		return "", false, err
	}
	b, found := data[key]
	if !found && (optional == nil || !*optional) {
		return "", false, fmt.Errorf("couldn't find key %s in %s %s/%s", key, kind, s.namespace, name)
	}
	return string(b), found, nil
}

// field returns a field of the pod by its downward API path.
func field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs":
		return address, nil
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

// resourceField returns a request or limit; an unset limit is the node's capacity.
func resourceField(pod *corev1.Pod, spec *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" {
		return podresource.ExtractResourceValueByContainerNameAndNodeAllocatable(ref, pod, ref.ContainerName, capacity)
	}
	limited := spec.DeepCopy()
	podresource.MergeContainerResourceLimits(limited, capacity)
	return podresource.ExtractContainerResourceValue(ref, limited)
}
