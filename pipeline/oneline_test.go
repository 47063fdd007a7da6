package pipeline

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestOneLine(t *testing.T) {
	if OneLine(nil) != nil || OneLine(io.EOF) != io.EOF {
		t.Error("an error of one line is another one")
	}
	err := OneLine(fmt.Errorf("connect to `a`:\n\thost a: %w\n\thost a: %w\n\thost b: refused\n", io.EOF, io.EOF))
	if want := "connect to `a`: host a: EOF; host b: refused"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
}
