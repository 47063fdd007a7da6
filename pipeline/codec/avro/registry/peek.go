package registry

import (
	"context"
	"errors"
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
