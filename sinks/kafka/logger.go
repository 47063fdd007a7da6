package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// logger hands the client's warnings on and remembers the last error that it retried, which the
// client itself never returns.
type logger struct {
	log  *slog.Logger
	last atomic.Pointer[string]
	// curious makes the client say what brokers answer to each produce request: it is set once
	// nothing moves, and costs too much before.
	curious atomic.Bool
}

func newLogger(l *slog.Logger) *logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return &logger{log: l}
}

// Level asks for the messages that carry the errors of batches.
func (l *logger) Level() kgo.LogLevel {
	if l.curious.Load() {
		return kgo.LogLevelDebug
	}
	return kgo.LogLevelInfo
}

// Log is called by the client.
func (l *logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	for i := 0; i+1 < len(keyvals); i += 2 {
		answer := keyvals[i] == "err" && keyvals[i+1] != nil || msg == "produced" && keyvals[i] == "to"
		if answer && (level < kgo.LogLevelDebug || msg == "produced") {
			text := fmt.Sprintf("%s: %.300v", msg, keyvals[i+1])
			l.last.Store(&text)
		}
	}
	if level <= kgo.LogLevelWarn {
		l.log.Log(context.Background(), slog.LevelWarn, "kafka client: "+msg, keyvals...)
	}
}

func (l *logger) lastError() string {
	if p := l.last.Load(); p != nil {
		return *p
	}
	return "the brokers gave no reason"
}
