package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// TestSASL authenticates by each mechanism, and fails to with the wrong password, user or mechanism.
func TestSASL(t *testing.T) {
	const user, password, wrong = "alice", "open sesame", "let me in"
	others := map[string]string{"PLAIN": "SCRAM-SHA-256", "SCRAM-SHA-256": "SCRAM-SHA-512", "SCRAM-SHA-512": "PLAIN"}
	for mechanism, other := range others {
		t.Run(mechanism, func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(1, "t"), kfake.EnableSASL(), kfake.Superuser(mechanism, user, password))
			var refuse atomic.Bool // as Kafka does it; the broker of the tests closes the connection
			c.fake.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.fake.KeepControl()
				resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
				resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
				return resp, nil, refuse.Load()
			})
			with := func(mechanism, user, password string) *Config {
				return c.config(t, fmt.Sprintf("topic = \"t\"\nformat \"json\" {}\nsasl {\nmechanism = %q\nuser = %q\npassword = %q\n}",
					mechanism, user, password))
			}
			write(t, openSink(t, with(mechanism, user, password)), insert(items(), 1, "a"))
			none := with(mechanism, user, password)
			none.SASL = nil
			for _, bad := range []*Config{with(mechanism, user, wrong), with(mechanism, "bob", password), with(other, user, password), none} {
				refused(t, bad, pipeline.Retryable, "sasl blocks are", wrong, password)
			}
			refuse.Store(true)
			refused(t, with(mechanism, user, wrong), pipeline.Environment, "user and password", wrong, password)
		})
	}
}

// refused checks that a sink does not open, why, and that no secret is in the error.
func refused(t *testing.T, c *Config, class pipeline.Class, want string, secrets ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := c.Open(ctx, spec.Env{Address: "sink.k"})
	if pipeline.ClassOf(err) != class || !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("class %d, want %q: %v", pipeline.ClassOf(err), want, err)
	}
	for _, s := range secrets {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), s) {
			t.Errorf("the error shows a password: %v", err)
		}
	}
	for _, f := range c.Check(ctx, spec.Env{}, nil) {
		for _, s := range secrets {
			if strings.Contains(fmt.Sprintf("%+v", f), s) {
				t.Errorf("a finding shows a password: %+v", f)
			}
		}
	}
}

// TestTLS speaks to an encrypted listener, one that asks for a certificate, and fails to where the
// certificate authority is unknown, the name is another, or one side does not encrypt.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	server := ca.issue(t, "broker")
	ca.issue(t, "client")
	for _, mutual := range []bool{false, true} {
		config := &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: ca.pool}
		if mutual {
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		c := newCluster(t, kfake.SeedTopics(1, "t"), kfake.TLS(config))
		with := func(block string) *Config {
			return c.config(t, "topic = \"t\"\nformat \"json\" {}\n"+strings.ReplaceAll(block, "DIR", dir))
		}
		good := "tls {\nca = \"DIR/ca.pem\"\ncert = \"DIR/client.pem\"\nkey = \"DIR/client.key\"\n}"
		write(t, openSink(t, with(good)), insert(items(), 1, "a"))
		if mutual {
			refused(t, with("tls {\nca = \"DIR/ca.pem\"\n}"), pipeline.Environment, "certificate")
			continue
		}
		write(t, openSink(t, with("tls {\ninsecure = true\n}")), insert(items(), 2, "a"))
		refused(t, with("tls {}"), pipeline.Environment, "unknown authority")
		refused(t, with("tls {\nca = \"DIR/ca.pem\"\nserver_name = \"other\"\n}"), pipeline.Environment, "other")
	}
	plain := httptest.NewServer(http.NotFoundHandler()) // answers, but not in TLS
	defer plain.Close()
	c := &cluster{brokers: []string{plain.Listener.Addr().String()}}
	refused(t, c.config(t, "topic = \"t\"\nformat \"json\" {}\ntls {}"), pipeline.Environment, "encrypted")
}

// TestSASLOverTLS is how most clusters are reached.
func TestSASLOverTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir)
	c := newCluster(t, kfake.SeedTopics(1, "t"), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "alice", "sesame"),
		kfake.TLS(&tls.Config{Certificates: []tls.Certificate{ca.issue(t, "broker")}}))
	config := c.config(t, "topic = \"t\"\nformat \"json\" {}\ntls {\nca = \""+dir+"/ca.pem\"\n}\n"+
		"sasl {\nmechanism = \"SCRAM-SHA-512\"\nuser = \"alice\"\npassword = \"sesame\"\n}")
	write(t, openSink(t, config), insert(items(), 1, "a"))
	opts, err := config.options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics("t"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if n := client.PollFetches(ctx).NumRecords(); n != 1 {
		t.Errorf("%d records", n)
	}
}

// authority signs certificates and leaves them in a folder, with their keys, in PEM.
type authority struct {
	dir    string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pool   *x509.CertPool
	serial int64
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{dir: dir, pool: x509.NewCertPool()}
	a.issue(t, "ca")
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate for the loopback; the first one is the authority's own.
func (a *authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        a.cert == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for file, text := range map[string][]byte{name + ".pem": certPEM, name + ".key": keyPEM} {
		if err := os.WriteFile(filepath.Join(a.dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		a.key = key
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
