package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Connection is the block connection "kafka": what the blocks that speak to one cluster share.
type Connection struct {
	Brokers  []string
	ClientID string
	TLS      *TLS
	SASL     *SASL
	Registry *Registry
}

// TLS is the block tls.
type TLS struct {
	CA, Cert, Key string // files in PEM
	ServerName    string
	Insecure      bool
}

// SASL is the block sasl.
type SASL struct {
	Mechanism       string
	User            string
	Password, Token spec.Secret
}

// Registry is the block registry.
type Registry struct {
	URL      string
	User     string
	Password spec.Secret
	TLS      *TLS
}

// Spec describes the block.
func (c *Connection) Spec(b *spec.Block) {
	spec.Attr(b, "brokers", &c.Brokers).Required().Doc("Addresses of brokers, host:port; a few of the cluster suffice.").
		Example(`["kafka-1:9092", "kafka-2:9092"]`)
	spec.Default(spec.Attr(b, "client_id", &c.ClientID).Doc("Name of this client in the brokers' logs and quotas."), &c.ClientID, "pipe")
	spec.Sub(b, "tls", nil, &c.TLS, describeTLS)
	spec.Sub(b, "sasl", nil, &c.SASL, describeSASL)
	spec.Sub(b, "registry", nil, &c.Registry, func(b *spec.Block, r *Registry, _ []string) {
		b.Doc("The schema registry.")
		spec.Attr(b, "url", &r.URL).Required().Doc("Its URL; several, separated by commas, are tried in order.").
			Example(`"https://registry:8081"`)
		spec.Attr(b, "user", &r.User).Doc("User for basic authentication.")
		spec.Attr(b, "password", &r.Password).Doc("Password for basic authentication.")
		spec.Sub(b, "tls", nil, &r.TLS, describeTLS)
	})
}

func describeTLS(b *spec.Block, t *TLS, _ []string) {
	b.Doc("Encryption. An empty block uses the system's certificate authorities.")
	spec.Attr(b, "ca", &t.CA).Doc("File with the certificate authorities to trust, PEM.")
	spec.Attr(b, "cert", &t.Cert).Doc("File with the client's certificate, PEM.")
	spec.Attr(b, "key", &t.Key).Doc("File with the client's private key, PEM.")
	spec.Attr(b, "server_name", &t.ServerName).Doc("Name to expect in the server's certificate instead of the host.")
	spec.Attr(b, "insecure", &t.Insecure).Doc("Accept any certificate. For tests only.")
	b.Check(func(p *spec.Problems) {
		if (t.Cert == "") != (t.Key == "") {
			p.Error("cert", "Incomplete client certificate", "cert and key belong together: give both files.")
		}
	})
}

func describeSASL(b *spec.Block, s *SASL, _ []string) {
	b.Doc("Authentication.")
	spec.Attr(b, "mechanism", &s.Mechanism).Required().Doc("How to authenticate.").
		OneOf("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
	spec.Attr(b, "user", &s.User).Doc("User, for PLAIN and SCRAM.")
	spec.Attr(b, "password", &s.Password).Doc("Password, for PLAIN and SCRAM.")
	spec.Attr(b, "token", &s.Token).Doc("Token, for OAUTHBEARER.")
	b.Check(func(p *spec.Problems) {
		if s.Mechanism == "OAUTHBEARER" && s.Token == "" {
			p.Error("mechanism", "Missing token", "OAUTHBEARER needs token.")
		}
		if s.Mechanism != "OAUTHBEARER" && (s.User == "" || s.Password == "") {
			p.Error("mechanism", "Missing user or password", s.Mechanism+" needs user and password.")
		}
	})
}

// options returns the client's options for the connection.
func (c *Connection) options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(c.ClientID)}
	if c.TLS != nil {
		config, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL.mechanism()))
	}
	return opts, nil
}

func (s *SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case "OAUTHBEARER":
		return oauth.Auth{Token: s.Token.Reveal()}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password.Reveal()}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password.Reveal()}.AsSha512Mechanism()
	}
	return plain.Auth{User: s.User, Pass: s.Password.Reveal()}.AsMechanism()
}

func (t *TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls: ca: no certificate in " + t.CA)
		}
	}
	if t.Cert == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: cert: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// urls splits a list of URLs.
func urls(s string) []string {
	var out []string
	for u := range strings.SplitSeq(s, ",") {
		if u = strings.TrimSpace(u); u != "" {
			out = append(out, u)
		}
	}
	return out
}
