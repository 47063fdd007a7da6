package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr"
)

// Has reports whether a subject has a schema among its versions; it registers nothing.
func (c *Client) Has(ctx context.Context, subject, schema string) (bool, error) {
	s := sr.Schema{Schema: schema, Type: sr.TypeAvro}
	err := c.try(ctx, func(ctx context.Context) error {
		_, err := c.sr.LookupSchema(ctx, subject, s)
		return err
	})
	var re *sr.ResponseError
	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, c.explain(ctx, subject, s, err)
	}
	return true, nil
}

// Schema returns the text of the schema with an id; "" where the registry has none, or it is not Avro.
func (c *Client) Schema(ctx context.Context, id int) (string, error) {
	var s sr.Schema
	err := c.try(ctx, func(ctx context.Context) (err error) {
		s, err = c.sr.SchemaByID(ctx, id)
		return err
	})
	var re *sr.ResponseError
	switch {
	case errors.As(err, &re) && re.StatusCode == http.StatusNotFound:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("schema %d: %w", id, err)
	case s.Type != sr.TypeAvro || len(s.References) > 0:
		return "", nil
	}
	return s.Schema, nil
}
