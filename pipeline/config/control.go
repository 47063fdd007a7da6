package config

import (
	"net"
	"strconv"
	"time"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// Control says how a running pipeline can be watched and asked, beside its socket.
type Control struct {
	Listen       string // host:port; "" for none
	Token        spec.Secret
	LagObjective time.Duration // beyond which the pipeline is not ready; 0: none
	StalledAfter time.Duration // without progress while there is something to do
	TLS          *ControlTLS   // nil: plain HTTP
}

// ControlTLS is the block tls of control: what the listener shows.
type ControlTLS struct {
	Cert, Key string // files, PEM
}

const (
	defaultStall = time.Minute
	minToken     = 16 // characters: what cannot be guessed
)

func defaultControl() Control { return Control{StalledAfter: defaultStall} }

func controlSpec(b *spec.Block, p *pipelineSpec) {
	p.s.Control = defaultControl()
	spec.Sub(b, "control", nil, &p.control, func(b *spec.Block, c *Control, _ []string) {
		b.Doc("How a running pipeline is watched and asked. It always listens on a socket beside its state, which only " +
			"its user can open; over TCP only where this block says so.")
		spec.Attr(b, "listen", &c.Listen).Example(`"127.0.0.1:8080"`).
			Doc("Address for /status, /metrics, /healthz, /readyz, and the snapshots where there is a token. The traffic " +
				"is not encrypted without a block tls.")
		spec.Attr(b, "token", &c.Token).Example(`env("PIPE_TOKEN")`).
			Doc("What clients send as \"Authorization: Bearer TOKEN\". Without one, only clients on this machine are served, " +
				"and they can only read.")
		spec.Attr(b, "lag_objective", &c.LagObjective).Range(int64(time.Second), int64(30*24*time.Hour)).
			Doc("The pipeline is not ready while what it delivers is older than this.")
		a := spec.Attr(b, "stalled_after", &c.StalledAfter).Range(int64(time.Second), int64(24*time.Hour)).
			Doc("The pipeline is not ready once it has moved nothing for so long although there is something to move.")
		spec.Default(a, &c.StalledAfter, defaultStall)
		spec.Sub(b, "tls", nil, &c.TLS, func(b *spec.Block, t *ControlTLS, _ []string) {
			b.Doc("Encrypts what goes over TCP. The files are looked at with each connection: they may be renewed while " +
				"the pipeline runs.")
			spec.Attr(b, "cert", &t.Cert).Required().Example(`"/etc/pipe/control.crt"`).
				Doc("File with the certificate and those that lead to an authority, PEM; relative to the configuration.")
			spec.Attr(b, "key", &t.Key).Required().Example(`"/etc/pipe/control.key"`).
				Doc("File with its private key, PEM; relative to the configuration.")
		})
		b.Check(c.check)
	})
}

func (c *Control) check(p *spec.Problems) {
	if c.Token != "" && len(c.Token.Reveal()) < minToken {
		p.Error("token", "Token too short", "A token has at least "+strconv.Itoa(minToken)+" characters: whoever "+
			"guesses it can start and cancel snapshots.")
	}
	if c.Listen == "" {
		if c.Token != "" {
			p.Error("token", "Token without listen", "The socket needs no token. Set listen too, or leave this out.")
		}
		if c.TLS != nil {
			p.Error("", "TLS without listen", "The socket is not encrypted. Set listen too, or leave tls out.")
		}
		return
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 0 || n > 65535 {
		p.Error("listen", "Not an address", "\"listen\" is host:port: \"127.0.0.1:8080\", \"[::1]:8080\" or \":8080\".")
		return
	}
	switch {
	case loopback(host):
	case c.Token == "":
		p.Error("listen", "No token", "Others than this machine reach "+strconv.Quote(c.Listen)+
			": set token too, or listen on 127.0.0.1.")
	case c.TLS == nil:
		p.Warning("listen", "Token in the clear", "Others than this machine reach "+strconv.Quote(c.Listen)+", and the token "+
			"goes over the network as it is: whoever reads it can start and cancel snapshots. Add tls { cert = ... key = ... }, "+
			"or listen on 127.0.0.1 behind something that encrypts.")
	}
}

// loopback reports whether only this machine reaches a host.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
