package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Volumes are folders, _volumes/NAME in the pod's folder. They cannot appear at their
// mountPath, because the processes see this machine's files; $POD_VOLUMES contains their
// parent folder. They are written once: later changes of a ConfigMap or Secret are ignored.

// tokenLifetime is the minimum lifetime of tokens, which are not renewed. (The API server
// itself extends the default lifetime to a year.)
const tokenLifetime = 24 * time.Hour

// createVolumes writes all volumes of the pod, and its kubeconfig. The caller retries an
// error, because a change of another object can resolve it.
func (n *Node) createVolumes(ctx context.Context, pod *corev1.Pod) error {
	m := &volumeBuilder{sources: &sources{node: n, namespace: pod.Namespace}, pod: pod}
	root := filepath.Join(n.podDir(pod.UID), volumesFolder)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	for _, v := range pod.Spec.Volumes {
		dir := filepath.Join(root, v.Name)
		files, err := m.files(ctx, v)
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		for _, f := range files {
			if err := writeVolumeFile(dir, f); err != nil {
				return fmt.Errorf("volume %s: %w", v.Name, err)
			}
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if token := tokenFile(pod); token != "" {
		return n.writeKubeconfig(pod, filepath.Join(root, token))
	}
	return nil
}

type volumeFile struct {
	path    string
	content []byte
	mode    os.FileMode
}

func writeVolumeFile(dir string, f volumeFile) error {
	path := filepath.Join(dir, filepath.Clean("/"+f.path)) // never outside the volume
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// The file may exist from an earlier run of the node, with any mode.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(path, f.content, f.mode)
}

type volumeBuilder struct {
	sources *sources
	pod     *corev1.Pod
}

func (m *volumeBuilder) files(ctx context.Context, v corev1.Volume) ([]volumeFile, error) {
	switch {
	case v.EmptyDir != nil:
		return nil, nil
	case v.ConfigMap != nil:
		data, err := m.sources.configMap(ctx, v.ConfigMap.Name, v.ConfigMap.Optional)
		if err != nil {
			return nil, err
		}
		return selectItems(data, v.ConfigMap.Items, v.ConfigMap.DefaultMode, v.ConfigMap.Optional)
	case v.Secret != nil:
		data, err := m.sources.secret(ctx, v.Secret.SecretName, v.Secret.Optional)
		if err != nil {
			return nil, err
		}
		return selectItems(data, v.Secret.Items, v.Secret.DefaultMode, v.Secret.Optional)
	case v.DownwardAPI != nil:
		return m.downward(v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	case v.Projected != nil:
		var all []volumeFile
		for _, s := range v.Projected.Sources {
			files, err := m.projected(ctx, s, v.Projected.DefaultMode)
			if err != nil {
				return nil, err
			}
			all = append(all, files...)
		}
		return all, nil
	}
	return nil, fmt.Errorf("this node supports only emptyDir, configMap, secret, downwardAPI and projected volumes")
}

func (m *volumeBuilder) projected(ctx context.Context, s corev1.VolumeProjection, mode *int32) ([]volumeFile, error) {
	switch {
	case s.ConfigMap != nil:
		data, err := m.sources.configMap(ctx, s.ConfigMap.Name, s.ConfigMap.Optional)
		if err != nil {
			return nil, err
		}
		return selectItems(data, s.ConfigMap.Items, mode, s.ConfigMap.Optional)
	case s.Secret != nil:
		data, err := m.sources.secret(ctx, s.Secret.Name, s.Secret.Optional)
		if err != nil {
			return nil, err
		}
		return selectItems(data, s.Secret.Items, mode, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return m.downward(s.DownwardAPI.Items, mode)
	case s.ServiceAccountToken != nil:
		token, err := m.token(ctx, s.ServiceAccountToken)
		if err != nil {
			return nil, err
		}
		return []volumeFile{{s.ServiceAccountToken.Path, []byte(token), 0o600}}, nil
	}
	return nil, fmt.Errorf("this node supports only configMap, secret, downwardAPI and serviceAccountToken projections")
}

// selectItems returns the files of the items, or of all keys if there are no items.
func selectItems(data map[string][]byte, items []corev1.KeyToPath, mode *int32, optional *bool) ([]volumeFile, error) {
	var files []volumeFile
	if len(items) == 0 {
		for k, v := range data {
			files = append(files, volumeFile{k, v, fileMode(nil, mode)})
		}
		return files, nil
	}
	for _, item := range items {
		content, ok := data[item.Key]
		switch {
		case ok:
			files = append(files, volumeFile{item.Path, content, fileMode(item.Mode, mode)})
		case optional == nil || !*optional:
			return nil, fmt.Errorf("references non-existent key %s", item.Key)
		}
	}
	return files, nil
}

func (m *volumeBuilder) downward(items []corev1.DownwardAPIVolumeFile, mode *int32) ([]volumeFile, error) {
	var files []volumeFile
	for _, item := range items {
		var value string
		var err error
		if item.FieldRef != nil {
			value, err = field(m.pod, item.FieldRef.FieldPath)
		} else {
			value, err = resourceField(m.pod, &m.pod.Spec.Containers[0], item.ResourceFieldRef)
		}
		if err != nil {
			return nil, err
		}
		files = append(files, volumeFile{item.Path, []byte(value), fileMode(item.Mode, mode)})
	}
	return files, nil
}

func fileMode(itemMode, defaultMode *int32) os.FileMode {
	switch {
	case itemMode != nil:
		return os.FileMode(*itemMode)
	case defaultMode != nil:
		return os.FileMode(*defaultMode)
	}
	return 0o644
}

// token requests a ServiceAccount token that is bound to the pod.
func (m *volumeBuilder) token(ctx context.Context, p *corev1.ServiceAccountTokenProjection) (string, error) {
	const defaultExpirationSeconds = 3607 // set by admission in every pod
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: p.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: m.pod.Name, UID: m.pod.UID,
		},
	}}
	if p.Audience != "" {
		request.Spec.Audiences = []string{p.Audience}
	}
	if s := p.ExpirationSeconds; s == nil || *s != defaultExpirationSeconds {
		seconds := int64(tokenLifetime.Seconds())
		if s != nil {
			seconds = max(seconds, *s)
		}
		request.Spec.ExpirationSeconds = &seconds
	}
	response, err := m.sources.node.client.CoreV1().ServiceAccounts(m.pod.Namespace).
		CreateToken(ctx, m.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return response.Status.Token, nil
}

// tokenFile returns the path of the pod's token for the API server, relative to _volumes;
// "" if it has none (automountServiceAccountToken: false).
func tokenFile(pod *corev1.Pod) string {
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if t := s.ServiceAccountToken; t != nil && t.Audience == "" {
				return filepath.Join(v.Name, t.Path)
			}
		}
	}
	return ""
}

func hasCredentials(pod *corev1.Pod) bool { return tokenFile(pod) != "" }

// writeKubeconfig replaces /var/run/secrets/kubernetes.io/serviceaccount: clients read the
// file from $KUBECONFIG and authenticate as the pod's ServiceAccount.
func (n *Node) writeKubeconfig(pod *corev1.Pod, token string) error {
	c := api.NewConfig()
	c.Clusters["local"] = &api.Cluster{
		Server:                   fmt.Sprintf("https://%s:%d", address, n.cfg.ServerPort),
		CertificateAuthorityData: n.cfg.CA,
	}
	c.AuthInfos["pod"] = &api.AuthInfo{TokenFile: token}
	c.Contexts["local"] = &api.Context{Cluster: "local", AuthInfo: "pod", Namespace: pod.Namespace}
	c.CurrentContext = "local"
	return clientcmd.WriteToFile(*c, filepath.Join(n.podDir(pod.UID), kubeconfigFile))
}
