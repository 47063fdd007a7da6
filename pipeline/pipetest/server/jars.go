package server

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// ToolsEnv names the directory that jars are kept in; unset: .tools at the root of the module.
const ToolsEnv = "PIPE_TOOLS"

// toolsDir returns where jars are kept.
func toolsDir() (string, error) {
	if dir := os.Getenv(ToolsEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".tools"), nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside a Go module: set " + ToolsEnv + " to a directory for jars")
		}
	}
}

// artifact is a jar by its Maven coordinates.
type artifact struct {
	XMLName struct{} `xml:"dependency"`
	Group   string   `xml:"groupId"`
	Name    string   `xml:"artifactId"`
	Version string   `xml:"version"`
}

// classpath returns a Java class path of the jars and all they need, fetched by Maven the first
// time.
func classpath(ctx context.Context, name string, jars ...artifact) (string, error) {
	pom, err := pomOf(jars)
	if err != nil {
		return "", err
	}
	dir, err := tool(ctx, name, pom, "jars", "dependency:copy-dependencies", "-DincludeScope=runtime",
		"-DoutputDirectory=jars")
	return filepath.Join(dir, "*"), err
}

// tool returns the directory of a tool that Maven makes the first time: its goals, run on the
// project pom, leave the directory result. Processes that ask at once wait for each other.
func tool(ctx context.Context, name string, pom []byte, result string, goals ...string) (string, error) {
	tools, err := toolsDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(tools, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(tools, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	dir := filepath.Join(tools, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, maven(ctx, dir, pom, result, goals)
}

// maven runs goals on a project and moves its result to dir, which appears only when it is complete.
func maven(ctx context.Context, dir string, pom []byte, result string, goals []string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("Maven is not installed: run `make deps` (Debian: apt-get install maven)")
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, append([]string{"-q", "-B"}, goals...)...)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn %s for %s: %w\n%s", goals[0], filepath.Base(dir), err, out)
	}
	return os.Rename(filepath.Join(work, result), dir)
}

// pomOf renders a Maven project that depends on the jars.
func pomOf(jars []artifact) ([]byte, error) {
	return xml.MarshalIndent(struct {
		XMLName      struct{}   `xml:"project"`
		ModelVersion string     `xml:"modelVersion"`
		Group        string     `xml:"groupId"`
		Name         string     `xml:"artifactId"`
		Version      string     `xml:"version"`
		Dependencies []artifact `xml:"dependencies>dependency"`
	}{ModelVersion: "4.0.0", Group: "pipe", Name: "tools", Version: "1", Dependencies: jars}, "", "  ")
}

// javaOptions make a Java program start fast and stay small.
var javaOptions = [...]string{"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}

// java finds the Java runtime.
func java() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("Java is not installed: run `make deps` (Debian: apt-get install default-jdk-headless)")
	}
	return path, nil
}

// javaEnv is our environment without what would add options to every Java program.
func javaEnv() []string {
	var env []string
	for _, s := range os.Environ() {
		if !strings.HasPrefix(s, "JAVA_TOOL_OPTIONS=") && !strings.HasPrefix(s, "CLASSPATH=") {
			env = append(env, s)
		}
	}
	return env
}
