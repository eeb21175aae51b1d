// SPDX-License-Identifier: Apache-2.0

package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// DefaultTimeout of one question.
const DefaultTimeout = 10 * time.Second

// Options say which brokers are asked and how.
type Options struct {
	// Brokers are host:port pairs.
	Brokers []string
	// TLS encrypts the connection; nil: plain text.
	TLS *TLS
	// SASL proves who asks; nil: nobody in particular.
	SASL *SASL
	// Timeout of one question, of all connections that it needs together. Zero:
	// DefaultTimeout.
	Timeout time.Duration
}

// TLS names files in PEM. They are read at each connection, since a mounted Secret
// changes.
type TLS struct {
	// CAFile holds the authorities that brokers are trusted by. Empty: the system's.
	CAFile string
	// CertFile and KeyFile prove who asks, both or none.
	CertFile, KeyFile string
}

// Mechanisms of SASL that are known.
var Mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// SASL are credentials.
type SASL struct {
	// Dir holds the files mechanism, username and password, as a mounted Secret
	// does. Username and password are read at each connection.
	Dir string
	// Mechanism, Username and Password count without Dir.
	Mechanism, Username, Password string
}

// check names what is wrong with the options.
func (o *Options) check() error {
	if len(o.Brokers) == 0 {
		return errors.New("no broker is given; allowed are host:port pairs with commas between them")
	}
	for _, b := range o.Brokers {
		host, port, err := net.SplitHostPort(b)
		n, numberErr := strconv.ParseUint(port, 10, 16)
		if err != nil || numberErr != nil || n == 0 || host == "" || strings.ContainsAny(host, "/ ") {
			return fmt.Errorf("broker is %q; allowed is host:port with a port from 1 to 65535", b)
		}
	}
	if t := o.TLS; t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		return errors.New("a client certificate is given without its key, or the key alone; allowed are both or none")
	}
	if o.Timeout < 0 {
		return fmt.Errorf("timeout is %s; allowed is a duration longer than 0s", o.Timeout)
	}
	return nil
}

// dial connects to a broker. What is wrong with encryption is an *Error.
func (o *Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: o.Timeout}).DialContext(ctx, network, address)
	if err != nil || o.TLS == nil {
		return conn, err
	}
	c, err := o.TLS.config()
	if err != nil {
		return nil, errors.Join(&Error{Setup, err}, conn.Close())
	}
	if c.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, errors.Join(&Error{Setup, err}, conn.Close())
	}
	encrypted := tls.Client(conn, c)
	err = encrypted.HandshakeContext(ctx)
	if err == nil {
		return encrypted, nil
	}
	if ctx.Err() == nil {
		err = &Error{Certificate, fmt.Errorf("no encrypted connection to %s: %w", address, err)}
	}
	return nil, errors.Join(err, conn.Close())
}

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		text, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authority of the brokers: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate for the brokers: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// mechanism makes the credentials usable. It reads which mechanism it is now, and
// the rest when a connection is made.
func (s *SASL) mechanism() (sasl.Mechanism, error) {
	name := s.Mechanism
	if s.Dir != "" {
		var err error
		if name, err = s.file("mechanism"); err != nil {
			return nil, err
		}
	}
	switch strings.ToUpper(name) {
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			user, password, err := s.credentials()
			return plain.Auth{User: user, Pass: password}, err
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(s.scram), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(s.scram), nil
	}
	if !slices.Contains(Mechanisms, name) && len(name) > 20 {
		name = name[:20] + "…" // It may be a value of another key.
	}
	return nil, fmt.Errorf("mechanism of SASL is %q; allowed are %s", name, strings.Join(Mechanisms, ", "))
}

func (s *SASL) scram(context.Context) (scram.Auth, error) {
	user, password, err := s.credentials()
	return scram.Auth{User: user, Pass: password}, err
}

func (s *SASL) credentials() (user, password string, err error) {
	user, password = s.Username, s.Password
	if s.Dir != "" {
		if user, err = s.file("username"); err == nil {
			password, err = s.file("password")
		}
	}
	switch {
	case err != nil:
	case user == "":
		err = errors.New("username of SASL is empty")
	case password == "":
		err = errors.New("password of SASL is empty")
	}
	if err != nil {
		return "", "", &Error{Kind: Setup, Err: err}
	}
	return user, password, nil
}

// file reads one key of a mounted Secret. The newline at the end, which many tools
// write, is none of the value.
func (s *SASL) file(key string) (string, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the credentials of SASL lack the key %s (%s)", key, filepath.Join(s.Dir, key))
	}
	if err != nil {
		return "", fmt.Errorf("read the credentials of SASL: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
