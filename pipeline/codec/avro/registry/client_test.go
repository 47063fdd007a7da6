package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	fake "github.com/pipe-cdc/pipe/pipeline/pipetest/registry"
)

const (
	first  = `{"type":"record","name":"Value","namespace":"t","fields":[{"name":"id","type":"long"}]}`
	wider  = `{"type":"record","name":"Value","namespace":"t","fields":[{"name":"id","type":"long"},{"name":"x","type":["null","string"],"default":null}]}`
	broken = `{"type":"record","name":"Value","namespace":"t","fields":[{"name":"id","type":"long"},{"name":"x","type":"string"}]}`
)

// serve runs a registry; each request first passes through before, which may answer itself.
func serve(t *testing.T, c fake.Config, before func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	r, err := fake.New(c)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if before == nil || !before(w, req) {
			r.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func client(t *testing.T, c Config) *Client {
	t.Helper()
	cl, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	cl.pause = time.Millisecond
	return cl
}

func TestIDs(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, fake.Config{}, func(http.ResponseWriter, *http.Request) bool { asked.Add(1); return false })
	c := client(t, Config{URLs: []string{url}, AutoRegister: true})
	ctx := context.Background()
	id, err := c.ID(ctx, "t-value", first)
	if err != nil {
		t.Fatal(err)
	}
	n := asked.Load()
	if again, err := c.ID(ctx, "t-value", first); err != nil || again != id || asked.Load() != n {
		t.Errorf("cached: id %d, %v, %d more requests", again, err, asked.Load()-n)
	}
	if other, err := c.ID(ctx, "t-value", wider); err != nil || other == id {
		t.Errorf("evolved: id %d, %v", other, err)
	}
	look := client(t, Config{URLs: []string{url}})
	if found, err := look.ID(ctx, "t-value", first); err != nil || found != id {
		t.Errorf("looked up: id %d, %v", found, err)
	}
	if reasons, err := look.Compatible(ctx, "t-value", broken); err != nil || len(reasons) == 0 {
		t.Errorf("compatible: %v, %v", reasons, err)
	}
	if reasons, err := look.Compatible(ctx, "unknown", broken); err != nil || reasons != nil {
		t.Errorf("a new subject: %v, %v", reasons, err)
	}
}

// TestRegistries holds the client to registries that are not alike in how they refuse: that of this
// process, and in the full suite a real Apicurio.
func TestRegistries(t *testing.T) {
	pipetest.EachRegistry(t, func(t *testing.T, url string) {
		ctx := t.Context()
		subject := fmt.Sprint("s", time.Now().UnixNano())
		c := client(t, Config{URLs: []string{url}, AutoRegister: true, Level: "backward"})
		if err := c.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		id, err := c.ID(ctx, subject, first)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := client(t, c.config).ID(ctx, subject, first); err != nil || again != id {
			t.Errorf("registered again: id %d, %v, want %d", again, err, id)
		}
		if other, err := c.ID(ctx, subject, wider); err != nil || other == id {
			t.Errorf("evolved: id %d, %v", other, err)
		}
		look := client(t, Config{URLs: []string{url}})
		if found, err := look.ID(ctx, subject, first); err != nil || found != id {
			t.Errorf("looked up: id %d, %v, want %d", found, err, id)
		}
		if _, err := look.ID(ctx, subject+"-unknown", first); pipeline.ClassOf(err) != pipeline.Input {
			t.Errorf("an unknown subject: class %d, %v", pipeline.ClassOf(err), err)
		}
		_, err = c.ID(ctx, subject, broken)
		if pipeline.ClassOf(err) != pipeline.Input || !strings.Contains(fmt.Sprint(err), `compatibility = "none"`) {
			t.Errorf("incompatible: class %d, %v", pipeline.ClassOf(err), err)
		}
		if _, err := c.ID(ctx, subject, `{"type":"nope"}`); pipeline.ClassOf(err) != pipeline.Input {
			t.Errorf("no schema: class %d, %v", pipeline.ClassOf(err), err)
		}
		for s, want := range map[string]bool{wider: true, broken: false} {
			if reasons, err := look.Compatible(ctx, subject, s); err != nil || (len(reasons) == 0) != want {
				t.Errorf("compatible %.90s: %v, %v", s, reasons, err)
			}
		}
		if reasons, err := look.Compatible(ctx, subject+"-unknown", broken); err != nil || reasons != nil {
			t.Errorf("a new subject: %v, %v", reasons, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	url := serve(t, fake.Config{User: "u", Password: "p"}, nil)
	ok := Config{URLs: []string{url}, User: "u", Password: "p", AutoRegister: true}
	if _, err := client(t, ok).ID(context.Background(), "s", first); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		schema string
		class  pipeline.Class
		want   string
	}{
		"incompatible":  {func(*Config) {}, broken, pipeline.Input, "compatibility = \"none\""},
		"not an schema": {func(*Config) {}, `{"type":"nope"}`, pipeline.Input, "invalid"},
		"bad password":  {func(c *Config) { c.Password = "secret" }, first, pipeline.Environment, "user and password"},
		"not there":     {func(c *Config) { c.AutoRegister = false }, wider, pipeline.Input, "auto_register = true"},
		"wrong path":    {func(c *Config) { c.URLs = []string{url + "/nope"} }, first, pipeline.Environment, "path"},
	} {
		t.Run(name, func(t *testing.T) {
			config := ok
			c.change(&config)
			_, err := client(t, config).ID(context.Background(), "s", c.schema)
			if err == nil || pipeline.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v (class %d)", err, pipeline.ClassOf(err))
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Error("the error shows the password")
			}
		})
	}
}

func TestLevelIsSet(t *testing.T) {
	url := serve(t, fake.Config{}, nil)
	c := client(t, Config{URLs: []string{url}, AutoRegister: true, Level: "none"})
	for _, s := range []string{first, broken} {
		if _, err := c.ID(context.Background(), "s", s); err != nil {
			t.Error(err)
		}
	}
}

func TestRetries(t *testing.T) {
	for _, status := range []int{500, 503, 429} {
		var left atomic.Int32
		left.Store(3)
		url := serve(t, fake.Config{}, func(w http.ResponseWriter, _ *http.Request) bool {
			if left.Add(-1) < 0 {
				return false
			}
			w.WriteHeader(status)
			return true
		})
		c := client(t, Config{URLs: []string{url}, AutoRegister: true})
		if _, err := c.ID(context.Background(), "s", first); err != nil {
			t.Errorf("%d three times: %v", status, err)
		}
		left.Store(1 << 20)
		_, err := c.ID(context.Background(), "s", wider)
		if pipeline.ClassOf(err) != pipeline.Retryable {
			t.Errorf("%d for ever: %v", status, err)
		}
		if _, err := c.ID(context.Background(), "s", first); err != nil {
			t.Errorf("a known schema while the registry is down: %v", err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	c := client(t, Config{URLs: []string{"http://127.0.0.1:1"}})
	err := c.Ping(context.Background())
	if pipeline.ClassOf(err) != pipeline.Retryable {
		t.Errorf("%v", err)
	}
	if _, err := New(Config{URLs: []string{"127.0.0.1:8081"}}); pipeline.ClassOf(err) != pipeline.Input {
		t.Errorf("no scheme: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := c.Ping(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
