package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pipe-cdc/pipe/pipeline"
)

// The bounds of one question to the registry.
const (
	attempts       = 6
	firstPause     = 200 * time.Millisecond
	longestPause   = 5 * time.Second
	requestTimeout = 15 * time.Second
)

// Config says where the registry is and what may be done there.
type Config struct {
	URLs         []string
	User         string
	Password     string
	Token        string // of a bearer; instead of User
	TLS          *tls.Config
	AutoRegister bool   // register schemas that the registry does not have
	Level        string // compatibility level to set for each subject, "BACKWARD"; "": left as it is
}

// Client keeps the ids of schemas. Safe for concurrent use.
type Client struct {
	config Config
	sr     *sr.Client
	pause  time.Duration

	mu  sync.Mutex
	ids map[entry]int
	set map[string]bool // subjects whose level was set
}

type entry struct{ subject, schema string }

// New returns a client; it does not connect.
func New(c Config) (*Client, error) {
	for _, u := range c.URLs {
		p, err := url.Parse(u)
		if err != nil || p.Scheme != "http" && p.Scheme != "https" || p.Host == "" {
			return nil, &pipeline.Error{
				Class: pipeline.Input, Err: errors.New("the registry's URL is not one of http or https"),
				Hint: `Write it as "https://host:8081".`,
			}
		}
	}
	opts := []sr.ClientOpt{sr.URLs(c.URLs...), sr.UserAgent("pipe")}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c.TLS
	opts = append(opts, sr.HTTPClient(&http.Client{Timeout: requestTimeout, Transport: transport}))
	switch {
	case c.Token != "":
		opts = append(opts, sr.BearerToken(c.Token))
	case c.User != "":
		opts = append(opts, sr.BasicAuth(c.User, c.Password))
	}
	cl, err := sr.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("schema registry client: %w", err)
	}
	return &Client{config: c, sr: cl, pause: firstPause, ids: map[entry]int{}, set: map[string]bool{}}, nil
}

// ID returns the id of a subject's schema: known, looked up, or registered where that is allowed.
func (c *Client) ID(ctx context.Context, subject, schema string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := entry{subject, schema}
	if id, ok := c.ids[e]; ok {
		return id, nil
	}
	if err := c.level(ctx, subject); err != nil {
		return 0, err
	}
	id, err := c.find(ctx, subject, sr.Schema{Schema: schema, Type: sr.TypeAvro})
	if err != nil {
		return 0, err
	}
	c.ids[e] = id
	return id, nil
}

func (c *Client) find(ctx context.Context, subject string, s sr.Schema) (int, error) {
	if c.config.AutoRegister {
		var id int
		err := c.try(ctx, func(ctx context.Context) (err error) {
			id, err = c.sr.RegisterSchema(ctx, subject, s, -1, -1)
			return err
		})
		if err != nil {
			return 0, c.explain(ctx, subject, s, err)
		}
		return id, nil
	}
	var found sr.SubjectSchema
	err := c.try(ctx, func(ctx context.Context) (err error) {
		found, err = c.sr.LookupSchema(ctx, subject, s)
		return err
	})
	if err != nil {
		return 0, c.explain(ctx, subject, s, err)
	}
	return found.ID, nil
}

// level sets the subject's compatibility level once.
func (c *Client) level(ctx context.Context, subject string) error {
	if c.config.Level == "" || !c.config.AutoRegister || c.set[subject] {
		return nil
	}
	var l sr.CompatibilityLevel
	if err := l.UnmarshalText([]byte(strings.ToUpper(c.config.Level))); err != nil {
		return &pipeline.Error{Class: pipeline.Input, Err: fmt.Errorf("compatibility level %q", c.config.Level)}
	}
	err := c.try(ctx, func(ctx context.Context) error {
		return c.sr.SetCompatibility(ctx, sr.SetCompatibility{Level: l}, subject)[0].Err
	})
	if err != nil {
		return c.explain(ctx, subject, sr.Schema{}, fmt.Errorf("setting the compatibility level: %w", err))
	}
	c.set[subject] = true
	return nil
}

// Ping asks whether the registry answers.
func (c *Client) Ping(ctx context.Context) error {
	err := c.try(ctx, func(ctx context.Context) error {
		_, err := c.sr.SupportedTypes(ctx)
		var re *sr.ResponseError
		if errors.As(err, &re) && re.StatusCode == http.StatusNotFound {
			_, err = c.sr.Subjects(ctx)
		}
		return err
	})
	if err != nil {
		return c.explain(ctx, "", sr.Schema{}, err)
	}
	return nil
}

// Compatible reports what stands against a schema as the subject's next version; nil where nothing
// does, also where the subject does not exist yet.
func (c *Client) Compatible(ctx context.Context, subject, schema string) ([]string, error) {
	var res sr.CheckCompatibilityResult
	s := sr.Schema{Schema: schema, Type: sr.TypeAvro}
	verbose := sr.WithParams(ctx, sr.Verbose)
	err := c.try(verbose, func(ctx context.Context) (err error) {
		res, err = c.sr.CheckCompatibility(ctx, subject, -1, s)
		return err
	})
	var re *sr.ResponseError
	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(ctx, subject, s, err)
	}
	if res.Is {
		return nil, nil
	}
	if len(res.Messages) == 0 {
		res.Messages = []string{"the registry gives no reason"}
	}
	return res.Messages, nil
}

// try asks again, with growing pauses, what failed for a reason that may pass.
func (c *Client) try(ctx context.Context, ask func(context.Context) error) error {
	pause := c.pause
	for n := 1; ; n++ {
		err := ask(ctx)
		if err == nil || !transient(err) || n == attempts || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

func transient(err error) bool {
	var re *sr.ResponseError
	if !errors.As(err, &re) {
		return true // no answer at all
	}
	return re.StatusCode >= 500 || re.StatusCode == http.StatusTooManyRequests
}
