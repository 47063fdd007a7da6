package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pipe-cdc/pipe/pipeline"
)

// maxReasons bounds how many of the registry's reasons an error repeats, and their length.
const (
	maxReasons     = 5
	maxReasonBytes = 400
)

// explain turns what the registry answered into an error that says what to do.
func (c *Client) explain(ctx context.Context, subject string, s sr.Schema, err error) error {
	where := "schema registry"
	if subject != "" {
		where += ", subject " + subject
	}
	out := &pipeline.Error{Class: pipeline.Environment, Err: fmt.Errorf("%s: %w", where, err)}
	var re *sr.ResponseError
	if !errors.As(err, &re) {
		out.Class = pipeline.Retryable
		out.Hint = "Check that the registry is running and its URL is right; it was asked several times."
		return out
	}
	status := re.StatusCode
	switch {
	case status == http.StatusConflict:
		out.Class = pipeline.Input
		out.Err = fmt.Errorf("%s: the new schema is incompatible%s", where, c.reasons(ctx, subject, s, re))
		out.Hint = "Either change the table so that the schemas are compatible (a new column that may be NULL), " +
			"or write to a new topic or subject, or lower the level: compatibility = \"none\"."
	case status == http.StatusUnprocessableEntity:
		out.Class = pipeline.Input
		out.Hint = "The registry finds the schema or the level invalid: see its message."
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		out.Hint = "Check the registry's user and password, and that they may write to the subject."
	case status == http.StatusNotFound && !c.config.AutoRegister:
		out.Class = pipeline.Input
		out.Hint = "Register the schema first, or set auto_register = true."
	case status == http.StatusNotFound:
		out.Hint = "Check the registry's URL: its path may be missing (/apis/ccompat/v7)."
	case transient(err):
		out.Class = pipeline.Retryable
		out.Hint = "The registry has trouble; it was asked several times."
	}
	return out
}

// reasons asks the registry why, where its refusal does not say.
func (c *Client) reasons(ctx context.Context, subject string, s sr.Schema, re *sr.ResponseError) string {
	res, err := c.sr.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), subject, -1, s)
	reasons := res.Messages
	if err != nil || len(reasons) == 0 {
		reasons = []string{re.Message}
	}
	var b strings.Builder
	for i, r := range reasons {
		if i == maxReasons {
			fmt.Fprintf(&b, "; and %d more", len(reasons)-i)
			break
		}
		if len(r) > maxReasonBytes {
			r = r[:maxReasonBytes] + "..."
		}
		b.WriteString("; ")
		b.WriteString(r)
	}
	return b.String()
}
