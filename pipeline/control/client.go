package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// ErrNotRunning is what a Client fails with where nobody listens.
var ErrNotRunning = errors.New("nobody listens there")

// maxAnswer bounds an answer: a thousand tables are about half a megabyte.
const maxAnswer = 64 << 20

// Client asks a running pipeline, through its socket or over TCP. It is safe for concurrent use.
type Client struct {
	place string // where it asks, for messages: "socket PATH", or a URL
	base  string // URL in front of paths
	token spec.Secret
	http  http.Client
}

// Dial returns the client of the socket with that path. It connects with each request.
func Dial(path string) *Client {
	c := &Client{place: "socket " + path, base: "http://localhost"}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true, // the process may be another one next time
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			placed, err := follow(path)
			if err != nil {
				return nil, err
			}
			var d net.Dialer
			return d.DialContext(ctx, "unix", placed)
		},
	}
	return c
}

// Status returns what GET /status does.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var out Status
	err := c.do(ctx, http.MethodGet, "/status", nil, &out)
	return out, err
}

// Snapshot asks for tables to be read again.
func (c *Client) Snapshot(ctx context.Context, q SnapshotRequest) (Accepted, error) {
	var out Accepted
	err := c.do(ctx, http.MethodPost, "/snapshot", q, &out)
	return out, err
}

// Cancel gives up the snapshots of tables.
func (c *Client) Cancel(ctx context.Context, q CancelRequest) (Accepted, error) {
	var out Accepted
	err := c.do(ctx, http.MethodPost, "/cancel", q, &out)
	return out, err
}

func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	r, err := c.http.Do(q)
	if err != nil {
		return c.failed(err)
	}
	defer r.Body.Close()
	d := json.NewDecoder(io.LimitReader(r.Body, maxAnswer))
	if r.StatusCode != http.StatusOK {
		var no refusal
		if err := d.Decode(&no); err != nil || no.Error.Message == "" {
			return c.refused(fmt.Errorf("%s answers %s", path, r.Status),
				"Is the process that listens there another version of pipe?")
		}
		return no.Error.Err()
	}
	if err := d.Decode(into); err != nil {
		return c.refused(fmt.Errorf("answer of %s: %w", path, err), "")
	}
	return nil
}

// failed says why no answer came.
func (c *Client) failed(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return c.refused(ErrNotRunning, "")
	case certificate(err):
		return c.refused(err, "Name the authority's certificate with --ca, and a host that the certificate is for.")
	case errors.Is(err, fs.ErrPermission):
		return c.refused(errors.New("it belongs to another user"), "Run this as the user that runs the pipeline.")
	}
	return c.refused(err, "")
}

func (c *Client) refused(err error, hint string) error {
	return &pipeline.Error{Node: "control", Class: pipeline.Environment, Hint: hint,
		Err: fmt.Errorf("%s: %w", c.place, err)}
}
