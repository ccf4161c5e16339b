// Package pki creates the certificates and kubeconfigs of a local control plane.
//
// The certificate authority and all private keys are stored in the data directory and
// reused by the next start, so tokens, copied kubeconfigs and certificates that others
// issued from the CA stay valid. Each start issues new leaf certificates.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
	// A new certificate must be valid for a client whose clock is slightly behind.
	clockSkew = time.Minute
)

// Authority is the certificate authority stored in dir as ca.crt and ca.key.
type Authority struct {
	dir     string
	cert    *x509.Certificate
	certPEM []byte
	key     *ecdsa.PrivateKey
}

// Open reads the authority in dir, or creates one if there is none.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	var err error
	if a.key, err = a.Key("ca"); err != nil {
		return nil, err
	}
	a.certPEM, err = os.ReadFile(a.Path("ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		if err = a.createRoot(); err == nil {
			a.certPEM, err = os.ReadFile(a.Path("ca.crt"))
		}
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(a.certPEM)
	if block == nil {
		return nil, fmt.Errorf("%s contains no PEM block", a.Path("ca.crt"))
	}
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", a.Path("ca.crt"), err)
	}
	return a, nil
}

// Path returns the path of the file called name in the authority's directory.
func (a *Authority) Path(name string) string { return filepath.Join(a.dir, name) }

// CertPEM returns the authority's certificate.
func (a *Authority) CertPEM() []byte { return a.certPEM }

func (a *Authority) createRoot() error {
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "controlplane-ca"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &a.key.PublicKey, a.key)
	if err != nil {
		return err
	}
	return writePEM(a.Path("ca.crt"), "CERTIFICATE", der)
}

// Serving issues name.crt and name.key for a server on 127.0.0.1.
func (a *Authority) Serving(name string) error {
	return a.issue(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.IPv4(10, 96, 0, 1)},
	})
}

// Client issues name.crt and name.key for the Kubernetes user and groups.
func (a *Authority) Client(name, user string, groups ...string) error {
	return a.issue(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// clientAuthInfo is the client certificate called name, for a kubeconfig.
func (a *Authority) clientAuthInfo(name string) (*api.AuthInfo, error) {
	crt, err := os.ReadFile(a.Path(name + ".crt"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(a.Path(name + ".key"))
	if err != nil {
		return nil, err
	}
	return &api.AuthInfo{ClientCertificateData: crt, ClientKeyData: key}, nil
}

// Kubeconfig writes name.kubeconfig, which contains the client certificate called name.
func (a *Authority) Kubeconfig(name, server string) error {
	user, err := a.clientAuthInfo(name)
	if err != nil {
		return err
	}
	c := api.NewConfig()
	c.Clusters["local"] = &api.Cluster{Server: server, CertificateAuthorityData: a.certPEM}
	c.AuthInfos[name] = user
	c.Contexts["local"] = &api.Context{Cluster: "local", AuthInfo: name}
	c.CurrentContext = "local"
	return clientcmd.WriteToFile(*c, a.Path(name+".kubeconfig"))
}

// WebhookKubeconfig writes name.kubeconfig, with which the API server presents the client
// certificate called name to every admission webhook that asks for one.
func (a *Authority) WebhookKubeconfig(name string) error {
	user, err := a.clientAuthInfo(name)
	if err != nil {
		return err
	}
	c := api.NewConfig()
	// The name is the host of the webhook; * is any.
	c.AuthInfos["*"] = user
	return clientcmd.WriteToFile(*c, a.Path(name+".kubeconfig"))
}

// Key reads the private key name.key, or creates it if there is none.
func (a *Authority) Key(name string) (*ecdsa.PrivateKey, error) {
	path := a.Path(name + ".key")
	b, err := os.ReadFile(path)
	if err == nil {
		block, _ := pem.Decode(b)
		if block == nil {
			return nil, fmt.Errorf("%s contains no PEM block", path)
		}
		return x509.ParseECPrivateKey(block.Bytes)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(path, "EC PRIVATE KEY", der)
}

func (a *Authority) issue(name string, leaf *x509.Certificate) error {
	key, err := a.Key(name)
	if err != nil {
		return err
	}
	if leaf.SerialNumber, err = serialNumber(); err != nil {
		return err
	}
	now := time.Now()
	leaf.NotBefore, leaf.NotAfter = now.Add(-clockSkew), now.Add(leafLifetime)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return fmt.Errorf("issue certificate %s: %w", name, err)
	}
	return writePEM(a.Path(name+".crt"), "CERTIFICATE", der)
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
}

// writePEM replaces path atomically, so a crash leaves no incomplete key.
func writePEM(path, kind string, der []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
