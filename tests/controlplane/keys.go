package main

import (
	"crypto"
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
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// lifetime of the certificates: longer than any data folder of a test is kept.
const lifetime = 10 * 365 * 24 * time.Hour

// keys is a folder with an authority, the certificates that it signed, the keys that sign the tokens of
// service accounts, and a kubeconfig for each client.
type keys struct{ folder string }

func (k keys) path(file string) string       { return filepath.Join(k.folder, file) }
func (k keys) kubeconfig(user string) string { return k.path(user + ".kubeconfig") }

// keysOf returns the keys of a cluster and makes them at its first start. The folder appears complete or not at all.
func keysOf(path, cluster, server string) (keys, error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return keys{path}, err
	}
	temporary := path + ".new"
	if err := os.RemoveAll(temporary); err != nil {
		return keys{}, err
	}
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return keys{}, err
	}
	if err := (keys{temporary}).issueAll(cluster, server); err != nil {
		return keys{}, fmt.Errorf("issuing the keys of the cluster: %w", err)
	}
	return keys{path}, os.Rename(temporary, path)
}

func (k keys) issueAll(cluster, server string) error {
	authority := &x509.Certificate{Subject: pkix.Name{CommonName: cluster + "-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	signer, err := k.issue("ca", authority, authority, nil)
	if err != nil {
		return err
	}
	loopback := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	for name, subject := range map[string]pkix.Name{
		"apiserver":          {CommonName: "kube-apiserver"},
		"kubelet":            {CommonName: "kubelet"},
		"admin":              {CommonName: "admin", Organization: []string{"system:masters"}},
		"controller-manager": {CommonName: "system:kube-controller-manager"},
		"scheduler":          {CommonName: "system:kube-scheduler"},
	} {
		certificate := &x509.Certificate{Subject: subject, KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: loopback,
			DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		if _, err := k.issue(name, certificate, authority, signer); err != nil {
			return err
		}
	}
	if err := k.issueAccountKeys(); err != nil {
		return err
	}
	for _, user := range []string{"admin", "controller-manager", "scheduler"} {
		if err := k.writeKubeconfig(user, cluster, server); err != nil {
			return err
		}
	}
	return nil
}

// issueAccountKeys makes the pair that signs and checks the tokens of service accounts.
func (k keys) issueAccountKeys() error {
	accounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(accounts.Public())
	if err != nil {
		return err
	}
	if err := k.write("accounts.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return k.writeKey("accounts.key", accounts)
}

// issue signs a certificate with a new key; without a signer it signs itself.
func (k keys) issue(name string, certificate, authority *x509.Certificate, signer crypto.Signer) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		signer = key
	}
	if certificate.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	now := time.Now()
	certificate.NotBefore, certificate.NotAfter = now.Add(-time.Hour), now.Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, certificate, authority, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	if err := k.write(name+".crt", "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return key, k.writeKey(name+".key", key)
}

func (k keys) writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return k.write(file, "EC PRIVATE KEY", der)
}

func (k keys) write(file, kind string, der []byte) error {
	return os.WriteFile(k.path(file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// writeKubeconfig writes a kubeconfig that holds all it needs and may be copied elsewhere.
func (k keys) writeKubeconfig(user, cluster, server string) error {
	var files [3][]byte
	for i, file := range []string{"ca.crt", user + ".crt", user + ".key"} {
		content, err := os.ReadFile(k.path(file))
		if err != nil {
			return err
		}
		files[i] = content
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: files[0]}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: files[1], ClientKeyData: files[2]}
	config.Contexts[cluster] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: user}
	config.CurrentContext = cluster
	return clientcmd.WriteToFile(*config, k.kubeconfig(user))
}
