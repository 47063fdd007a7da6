package control

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

func dialTCP(t *testing.T, at string, token spec.Secret, ca string) *Client {
	t.Helper()
	c, err := DialTCP(at, token, ca)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTLS asks over TLS: with the right authority, another one, none, without a token, and in the clear; then
// the certificate is renewed.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	other, otherKey := filepath.Join(dir, "c2.pem"), filepath.Join(dir, "k2.pem")
	pipetest.Certificate(t, cert, key, 1000)
	pipetest.Certificate(t, other, otherKey, 2000)
	f := &fake{status: working()}
	s, _ := serve(t, f, Options{Listen: "127.0.0.1:0", Token: token, Cert: cert, Key: key})
	at := "https://" + s.Addr().String()

	if got, err := dialTCP(t, at, token, cert).Status(t.Context()); err != nil || got.PID != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := dialTCP(t, at+"/", token, cert).Snapshot(t.Context(), SnapshotRequest{Tables: []string{"a"}}); err != nil || len(f.asked) != 1 {
		t.Errorf("%v, %v", err, f.asked)
	}
	for name, c := range map[string]*Client{"another authority": dialTCP(t, at, token, other), "the system's": dialTCP(t, at, token, "")} {
		_, err := c.Status(t.Context())
		if err == nil || !strings.Contains(pipeline.HintOf(err), "--ca") || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := dialTCP(t, at, "wrong-wrong-wrong", cert).Status(t.Context()); pipeline.ClassOf(err) != pipeline.Input {
		t.Error(err)
	}
	if _, err := dialTCP(t, "http://"+s.Addr().String(), token, "").Status(t.Context()); err == nil {
		t.Error("it answers in the clear")
	}

	pipetest.Certificate(t, cert, key, 3000)
	if _, err := dialTCP(t, at, token, cert).Status(t.Context()); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dialTCP(t, at, token, cert).Status(t.Context()); err != nil {
		t.Errorf("while a file is being written: %v", err)
	}
}

func TestTLSRefusals(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	pipetest.Certificate(t, cert, key, 1000)
	for name, o := range map[string]Options{
		"no file":  {Cert: filepath.Join(dir, "none"), Key: key},
		"swapped":  {Cert: key, Key: cert},
		"not PEM":  {Cert: os.Args[0], Key: key},
		"no key":   {Cert: cert},
		"same one": {Cert: cert, Key: cert},
	} {
		o.Listen, o.Token = "127.0.0.1:0", token
		s, err := Listen(&fake{}, o)
		if err == nil || pipeline.HintOf(err) == "" || pipeline.ClassOf(err) != pipeline.Input {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	for _, at := range []string{"", "db1:8080", "ftp://db1", "https://", "https://db1/status", "https://u:p@db1", "https://db1?x=1"} {
		if _, err := DialTCP(at, "", ""); err == nil {
			t.Errorf("%q is taken", at)
		}
	}
	if _, err := DialTCP("https://db1", "", key); err == nil {
		t.Error("a key is taken for an authority")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := dialTCP(t, "http://"+l.Addr().String(), "", "").Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
	away := http.RedirectHandler("http://127.0.0.1:1/status", http.StatusFound)
	from, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: away}
	defer server.Close()
	go func() { _ = server.Serve(from) }()
	if _, err := dialTCP(t, "http://"+from.Addr().String(), token, "").Status(t.Context()); err == nil ||
		strings.Contains(err.Error(), "refused") {
		t.Errorf("a redirect was followed: %v", err)
	}
}
