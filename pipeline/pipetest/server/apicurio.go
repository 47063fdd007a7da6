package server

import (
	"context"
	_ "embed" // for apicurioPom
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// apicurioVersion is that of apicurio.pom.xml: the last one of which everything that it is built
// from is in Maven Central and runs on Java 17.
const apicurioVersion = "2.4.2.Final"

// apicurioPom builds the registry's runnable form, as its own release does, from the published jar.
//
//go:embed apicurio.pom.xml
var apicurioPom []byte

// Apicurio is a running private Apicurio Registry that keeps everything in memory.
type Apicurio struct {
	*instance
	URL string // of its Confluent-compatible API
}

// StartApicurio builds Apicurio Registry by Maven where that was not done yet, starts it and waits
// until it answers. Port 0 takes a free one.
func StartApicurio(ctx context.Context, port int) (*Apicurio, error) {
	bin, err := java()
	if err != nil {
		return nil, err
	}
	jars, err := tool(ctx, "apicurio-"+apicurioVersion, apicurioPom, "target", "package")
	if err != nil {
		return nil, err
	}
	if port, err = portOr(port); err != nil {
		return nil, err
	}
	in, err := newInstance("", "pipe-apicurio-", nil)
	if err != nil {
		return nil, err
	}
	a := &Apicurio{instance: in, URL: "http://" + loopback(port) + "/apis/ccompat/v7"}
	cmd := exec.Command(bin, slices.Concat(javaOptions[:], []string{
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=" + strconv.Itoa(port),
		"-jar", filepath.Join(jars, "registry-1-runner.jar"),
	})...)
	cmd.Dir, cmd.Env = a.dir, javaEnv()
	if a.proc, err = launch(cmd, nil, syscall.SIGKILL, &a.log); err == nil {
		err = a.proc.ready(ctx, a.answers)
	}
	if err != nil {
		return nil, in.failed("Apicurio Registry at "+a.URL, err)
	}
	return a, nil
}

// answers reports nil when the registry lists its subjects.
func (a *Apicurio) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL+"/subjects", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		err = fmt.Errorf("answers %s", res.Status)
	}
	return errors.Join(err, res.Body.Close())
}

// Close ends the registry and removes its directory.
func (a *Apicurio) Close() error {
	a.Kill()
	return a.remove()
}
