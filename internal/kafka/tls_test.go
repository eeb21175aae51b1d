// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"sparkpipeline.dev/operator/internal/kafka/kafkatest"
)

// authority signs certificates.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.certificate = &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.key = a.issue(t, "ca", a.certificate, a.certificate, nil)
	return a
}

func (a *authority) issue(t *testing.T, file string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: text}} {
		if err := os.WriteFile(a.file(file+name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) leaf(t *testing.T, name string, address string) {
	t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.ParseIP(address)}}
	a.issue(t, name, c, a.certificate, a.key)
}

func TestEncryptedConnections(t *testing.T) {
	ours, other := newAuthority(t, "ours"), newAuthority(t, "other")
	ours.leaf(t, "broker", "127.0.0.1")
	ours.leaf(t, "elsewhere", "10.9.9.9")
	ours.leaf(t, "agent", "127.0.0.1")
	other.leaf(t, "agent", "127.0.0.1")
	pool := x509.NewCertPool()
	text, err := os.ReadFile(ours.file("ca.crt"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	serve := func(name string, auth tls.ClientAuthType) string {
		pair, err := tls.LoadX509KeyPair(ours.file(name+".crt"), ours.file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		c := kafkatest.StartClosed(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: pool}))
		agent, err := tls.LoadX509KeyPair(ours.file("agent.crt"), ours.file("agent.key"))
		if err != nil {
			t.Fatal(err)
		}
		if name == "broker" {
			c.Use(kgo.DialTLSConfig(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{agent}}))
			c.Topic("orders", 5)
		}
		return c.Brokers()
	}
	open1, mutual, wrongName := serve("broker", tls.NoClientCert), serve("broker", tls.RequireAndVerifyClientCert), serve("elsewhere", tls.NoClientCert)
	// As Kafka does with what it does not understand; the brokers of the test wait for
	// more of it.
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	go func() {
		for {
			conn, err := bare.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4))
			conn.Close()
		}
	}()
	ca := ours.file("ca.crt")
	for title, c := range map[string]struct {
		broker string
		tls    *TLS
		kind   Kind
		says   string
	}{
		"trusted":                         {open1, &TLS{CAFile: ca}, "", ""},
		"with a client certificate":       {mutual, &TLS{CAFile: ca, CertFile: ours.file("agent.crt"), KeyFile: ours.file("agent.key")}, "", ""},
		"another authority":               {open1, &TLS{CAFile: other.file("ca.crt")}, Certificate, "unknown authority"},
		"the system's authorities":        {open1, &TLS{}, Certificate, "unknown authority"},
		"another name":                    {wrongName, &TLS{CAFile: ca}, Certificate, "10.9.9.9"},
		"no client certificate":           {mutual, &TLS{CAFile: ca}, Certificate, "sources.kafka.tls"},
		"client certificate of a strange": {mutual, &TLS{CAFile: ca, CertFile: other.file("agent.crt"), KeyFile: other.file("agent.key")}, Certificate, "sources.kafka.tls"},
		"plain text to TLS":               {open1, nil, Certificate, "sources.kafka.tls"},
		"TLS to plain text":               {bare.Addr().String(), &TLS{CAFile: ca}, Certificate, "sources.kafka.tls"},
		"no file":                         {open1, &TLS{CAFile: ours.file("none")}, Setup, "none"},
		"no certificate in the file":      {open1, &TLS{CAFile: ours.file("ca.key")}, Setup, "holds no certificate"},
		"a key of another":                {open1, &TLS{CAFile: ca, CertFile: ours.file("agent.crt"), KeyFile: other.file("agent.key")}, Setup, "client certificate"},
	} {
		t.Run(title, func(t *testing.T) {
			got, err := open(t, Options{Brokers: []string{c.broker}, TLS: c.tls, Timeout: 2 * time.Second}).Topics(t.Context(), []string{"orders"})
			if c.kind == "" {
				if err != nil || got["orders"].End[0] != 5 {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", KindOf(err), err)
			}
		})
	}
}
