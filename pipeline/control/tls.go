package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// encrypted returns a listener whose connections are TLS, with a certificate from files that may be renewed.
func encrypted(l net.Listener, cert, key string, log *slog.Logger) (net.Listener, error) {
	k := &keyPair{cert: cert, key: key, log: log}
	if err := k.load(); err != nil {
		return nil, &pipeline.Error{Node: "control", Class: pipeline.Input, Err: err,
			Hint: "Set cert and key in control { tls { ... } } to PEM files that belong together and that this user can read."}
	}
	return tls.NewListener(l, &tls.Config{GetCertificate: k.get, MinVersion: tls.VersionTLS12}), nil
}

// keyPair is a certificate from files, read again where one of them is another than before.
type keyPair struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex // guards the following
	loaded tls.Certificate
	of     [2]time.Time // when the files were written
}

func (k *keyPair) load() error {
	of := [2]time.Time{writtenAt(k.cert), writtenAt(k.key)}
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", k.cert, k.key, err)
	}
	k.loaded, k.of = pair, of
	return nil
}

// get returns the certificate for a connection. Files that cannot be read leave the one before in place:
// they may be half written.
func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of != [2]time.Time{writtenAt(k.cert), writtenAt(k.key)} {
		if err := k.load(); err != nil {
			k.log.Warn("control goes on with the certificate that it has", "error", err)
		} else {
			k.log.Info("control has a new certificate", "file", k.cert)
		}
	}
	pair := k.loaded
	return &pair, nil
}

// writtenAt returns when a file was written last, the zero time where that cannot be told.
func writtenAt(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// DialTCP returns the client of a pipeline that listens on TCP, at a URL such as https://db1:8080. ca is a
// file with the authorities to trust, PEM; "" for the system's.
func DialTCP(at string, token spec.Secret, ca string) (*Client, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" ||
		u.User != nil || u.RawQuery != "" {
		return nil, &pipeline.Error{Class: pipeline.Input, Err: errors.New("it is not the URL of a pipeline's control"),
			Hint: "Write https://host:port, or http://host:port where its control block has no tls."}
	}
	c := &Client{place: u.Scheme + "://" + u.Host, base: u.Scheme + "://" + u.Host, token: token}
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, &pipeline.Error{Class: pipeline.Input, Err: err}
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &pipeline.Error{Class: pipeline.Input, Err: fmt.Errorf("%s holds no certificate in PEM", ca)}
		}
	}
	c.http.Transport = t
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("redirected: is that a pipeline?") }
	return c, nil
}

// certificate reports whether an error is about the server's certificate.
func certificate(err error) bool {
	var bad *tls.CertificateVerificationError
	return errors.As(err, &bad)
}
