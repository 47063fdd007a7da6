package postgres

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline/spec"
)

// text joins DSN and attributes into one connection string of keywords or, where the DSN is a URL,
// that URL with the attributes as its parameters.
func (c *Connection) text() string {
	var words []string
	add := func(name, value string) {
		if value != "" {
			words = append(words, name+"='"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)+"'")
		}
	}
	port := ""
	if c.Port != 0 {
		port = strconv.Itoa(c.Port)
	}
	add("host", c.Host)
	add("port", port)
	add("user", c.User)
	add("password", c.Password.Reveal())
	add("dbname", c.Database)
	add("sslmode", c.SSLMode)
	add("sslrootcert", c.SSLRootCert)
	add("sslcert", c.SSLCert)
	add("sslkey", c.SSLKey)
	dsn := c.DSN.Reveal()
	if dsn == "" || !strings.Contains(dsn, "://") {
		return strings.TrimSpace(dsn + " " + strings.Join(words, " "))
	}
	return c.urlText(dsn)
}

// urlText adds the attributes to a DSN that is a URL.
func (c *Connection) urlText(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // the driver says what is wrong with it
	}
	q := u.Query()
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("host", c.Host)
	if c.Port != 0 {
		set("port", fmt.Sprint(c.Port))
	}
	set("user", c.User)
	set("password", c.Password.Reveal())
	set("dbname", c.Database)
	set("sslmode", c.SSLMode)
	set("sslrootcert", c.SSLRootCert)
	set("sslcert", c.SSLCert)
	set("sslkey", c.SSLKey)
	u.RawQuery = q.Encode()
	return u.String()
}

// withoutSecrets takes secrets out of a driver's message.
func withoutSecrets(text string, secrets ...spec.Secret) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s.Reveal(), s.String())
		}
	}
	return text
}
