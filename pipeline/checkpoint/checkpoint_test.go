package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
)

func TestStores(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		pipetest.TestStore(t, pipetest.StoreHarness{New: func(t testing.TB) func() (pipeline.Store, error) {
			path := filepath.Join(t.TempDir(), "state", "shop.checkpoint")
			return func() (pipeline.Store, error) { return OpenFile(path, "shop") }
		}})
	})
	t.Run("memory", func(t *testing.T) {
		pipetest.TestStore(t, pipetest.StoreHarness{Volatile: true, New: func(t testing.TB) func() (pipeline.Store, error) {
			m := NewMemory()
			return func() (pipeline.Store, error) { return m, nil }
		}})
	})
}

func openTest(t *testing.T, path string) *File {
	t.Helper()
	f, err := OpenFile(path, "shop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestRefusals damages the state in every way that is not "never saved": all are errors with a hint.
func TestRefusals(t *testing.T) {
	good := appendState(nil, "shop", pipeline.Checkpoint{"source.a/wal": "0/1", "source.a/x": "7"})
	foreign := appendState(nil, "other", pipeline.Checkpoint{"source.a/wal": "0/1"})
	cases := map[string][]byte{
		"empty": {}, "zeros": make([]byte, len(good)), "another file": []byte("hello\n"),
		"another pipeline": foreign, "newer": bytes.Replace(good, []byte("checkpoint 1"), []byte("checkpoint 2"), 1),
		"two saves in one": append(bytes.Clone(good), good...), "only the magic": []byte("pipe checkpoint 1\n"),
	}
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1
		cases[fmt.Sprintf("cut at %d", i)] = good[:i]
		cases[fmt.Sprintf("flipped at %d", i)] = flipped
	}
	path := filepath.Join(t.TempDir(), "state")
	f := openTest(t, path)
	for name, data := range cases {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cp, err := f.Load(t.Context())
		if err == nil {
			t.Fatalf("%s: loaded %v", name, cp)
		}
		if pipeline.HintOf(err) == "" || pipeline.ClassOf(err) != pipeline.Environment {
			t.Errorf("%s: no hint or class: %v", name, err)
		}
	}
}

func TestPreviousIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := openTest(t, path)
	for _, pos := range []pipeline.Position{"1", "2"} {
		if err := f.Save(t.Context(), pipeline.Checkpoint{"source.a/wal": pos}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := f.Load(t.Context())
	if !errors.Is(err, errEmpty) || !strings.Contains(pipeline.HintOf(err), "cp "+path+".previous "+path) {
		t.Fatalf("no way to repair: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(t.Context()); err == nil {
		t.Fatal("a state file that was removed counts as a first start")
	}
	if err := os.Rename(path+previous, path); err != nil {
		t.Fatal(err)
	}
	cp, err := f.Load(t.Context())
	if diff := cmp.Diff(pipeline.Checkpoint{"source.a/wal": "1"}, cp); err != nil || diff != "" {
		t.Fatalf("repaired: %v %s", err, diff)
	}
}

// TestUnwritable: neither an unreadable file nor a full or read-only place is "no state". Root may
// read anything, so directories in the file's place stand for missing rights.
func TestUnwritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	f := openTest(t, path)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if cp, err := f.Load(t.Context()); err == nil {
		t.Errorf("loaded %v from a directory", cp)
	}
	if err := f.Save(t.Context(), pipeline.Checkpoint{}); err == nil {
		t.Error("saved over a directory")
	}
	full := openTest(t, filepath.Join(t.TempDir(), "state"))
	if err := os.Mkdir(full.path+temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := full.Save(t.Context(), pipeline.Checkpoint{}); err == nil || pipeline.HintOf(err) == "" {
		t.Errorf("save without a place for the new file: %v", err)
	}
}

func TestLockNamesHolder(t *testing.T) {
	if path := os.Getenv("CHECKPOINT_LOCK"); path != "" {
		_, err := OpenFile(path, "shop")
		fmt.Println(err)
		return
	}
	path := filepath.Join(t.TempDir(), "state")
	openTest(t, path)
	cmd := exec.Command(os.Args[0], "-test.run=TestLockNamesHolder")
	cmd.Env = append(os.Environ(), "CHECKPOINT_LOCK="+path)
	out, err := cmd.Output()
	if want := fmt.Sprintf("process %d is using it", os.Getpid()); err != nil || !strings.Contains(string(out), want) {
		t.Fatalf("the second process said %q (%v), want %q", out, err, want)
	}
}

func TestLookFromOutside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new") + "/"
	if holder, err := Holder(path, "shop"); holder != "" || err != nil {
		t.Errorf("before anything is there: %q, %v", holder, err)
	}
	f := openTest(t, path)
	if err := f.Save(t.Context(), pipeline.Checkpoint{"s": "1"}); err != nil {
		t.Fatal(err)
	}
	cp, err := PeekFile(t.Context(), path, "shop")
	if diff := cmp.Diff(pipeline.Checkpoint{"s": "1"}, cp); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if holder, err := Holder(path, "shop"); holder != fmt.Sprintf("process %d", os.Getpid()) || err != nil {
		t.Errorf("while it is open: %q, %v", holder, err)
	}
	f.Close()
	if holder, err := Holder(path, "shop"); holder != "" || err != nil {
		t.Errorf("after it was closed: %q, %v", holder, err)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, dir + "/new/"} {
		f, err := OpenFile(path, "a/../b c")
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(path, "a%2F%2E%2E%2Fb%20c.checkpoint"); f.Path() != want {
			t.Errorf("path %s, want %s", f.Path(), want)
		}
		if err := f.Save(t.Context(), pipeline.Checkpoint{"s": "1"}); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(f.Path()); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		f.Close()
	}
}

// FuzzParse: whatever is accepted is exactly what would be written.
func FuzzParse(f *testing.F) {
	f.Add([]byte(""))
	f.Add(appendState(nil, "shop", pipeline.Checkpoint{}))
	f.Add(appendState(nil, "sh\top\\", pipeline.Checkpoint{"a\n/wal": "0/1", "b": "\r\\t"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		name, cp, err := parseState(data)
		if err == nil {
			if again := appendState(nil, name, cp); !bytes.Equal(again, data) && sorted(data) {
				t.Fatalf("accepted %q, would write %q", data, again)
			}
		}
		// The checksum hides the lines from the fuzzer: let it choose them as well.
		cp = pipeline.Checkpoint{pipeline.Stream(data): pipeline.Position(bytes.ToUpper(data))}
		name, have, err := parseState(appendState(nil, string(data), cp))
		if diff := cmp.Diff(cp, have); err != nil || name != string(data) || diff != "" {
			t.Fatalf("%q: %v %s", data, err, diff)
		}
		if key, value, err := parseLine(string(data)); err == nil {
			if again := appendLine(nil, key, value); string(again) != string(data)+"\n" && !bytes.ContainsRune(data, '\n') {
				t.Fatalf("%q parsed as %q %q", data, key, value)
			}
		}
	})
}

func sorted(data []byte) bool {
	lines := strings.Split(string(data), "\n")
	for i := 3; i < len(lines)-2; i++ {
		if lines[i] < lines[i-1] {
			return false
		}
	}
	return true
}

func BenchmarkSave(b *testing.B) {
	f, err := OpenFile(filepath.Join(b.TempDir(), "state"), "shop")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	cp := pipeline.Checkpoint{"source.a/wal": "0/1", "source.a/table/public.orders": "done"}
	for b.Loop() {
		if err := f.Save(b.Context(), cp); err != nil {
			b.Fatal(err)
		}
	}
}
