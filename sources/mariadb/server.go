package mariadb

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
	"github.com/pipe-cdc/pipe/sources/mariadb/charset"
	"github.com/pipe-cdc/pipe/sources/mariadb/wire"
)

// minVersion is the first version that is supported, as major*100+minor: the optional metadata in
// the log came with 10.5, the oldest one still maintained is 10.6.
const minVersion = 1006

// server is what is known of the server before a start.
type server struct {
	Version    string
	LogBin     bool
	Format     string // binlog_format
	Image      string // binlog_row_image
	Metadata   string // binlog_row_metadata
	Strict     bool   // gtid_strict_mode
	Position   binlog.Set
	ID         string
	collations map[int]*charset.Charset // by number; nil where the set is unknown
	sets       map[string]*charset.Charset
	unknown    map[int]string // names of the sets that are unknown, by number of the collation
}

// queryServer reads settings by name, since a version may lack one.
const queryServer = `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'log_bin', 'binlog_format', 'binlog_row_image',
	'binlog_row_metadata', 'gtid_strict_mode', 'gtid_binlog_pos', 'server_id')`

const queryCollations = `SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY`

const queryCollationsBefore1010 = `SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS`

// loadServer reads what is known of the server.
func loadServer(ctx context.Context, conn *wire.Conn) (server, error) {
	var s server
	rows, err := conn.Query(ctx, queryServer)
	if err != nil {
		return s, fmt.Errorf("read the server's settings: %w", err)
	}
	v := map[string]string{}
	for _, row := range rows {
		v[strings.ToLower(row[0].Text)] = row[1].Text
	}
	s.Version, s.LogBin, s.ID = v["version"], v["log_bin"] == "ON", v["server_id"]
	s.Format, s.Image, s.Metadata = v["binlog_format"], v["binlog_row_image"], v["binlog_row_metadata"]
	s.Strict = v["gtid_strict_mode"] == "ON"
	if s.Position, err = binlog.ParseSet(v["gtid_binlog_pos"]); err != nil {
		return s, err
	}
	return s, s.loadCollations(ctx, conn)
}

// loadCollations reads which character set each collation is of.
func (s *server) loadCollations(ctx context.Context, conn *wire.Conn) error {
	rows, err := conn.Query(ctx, queryCollations)
	if err != nil {
		rows, err = conn.Query(ctx, queryCollationsBefore1010)
	}
	if err != nil {
		return fmt.Errorf("read the collations: %w", err)
	}
	s.collations, s.sets, s.unknown = map[int]*charset.Charset{}, map[string]*charset.Charset{}, map[int]string{}
	for _, row := range rows {
		id, err := strconv.Atoi(row[0].Text)
		if err != nil || row[1].Null {
			continue // a name that stands for collations of several sets
		}
		name := row[1].Text
		if s.sets[name] == nil {
			if s.sets[name], err = charset.Lookup(name); err != nil {
				s.unknown[id] = name
				continue
			}
		}
		s.collations[id] = s.sets[name]
	}
	return nil
}

// charset returns the character set of a collation.
func (s *server) charset(collation int) (*charset.Charset, error) {
	if c := s.collations[collation]; c != nil {
		return c, nil
	}
	if name := s.unknown[collation]; name != "" {
		return nil, fmt.Errorf("%w %q", charset.ErrUnknown, name)
	}
	return nil, fmt.Errorf("%w of collation %d", charset.ErrUnknown, collation)
}

func (s *server) number() int {
	parts := strings.SplitN(s.Version, ".", 3)
	if len(parts) < 2 {
		return 0
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	return major*100 + minor
}

// refuse returns why the server cannot be read, nil if it can.
func (s *server) refuse() error {
	switch {
	case !strings.Contains(s.Version, "MariaDB"):
		return failed(pipeline.Environment, "Use MariaDB 10.6 or later. Of MySQL neither the names of transactions (UUID:number, and file and "+
			"position where gtid_mode is OFF), nor compressed transactions, nor partial JSON updates are read", "the server is MySQL %s", s.Version)
	case s.number() < minVersion:
		return failed(pipeline.Environment, "Upgrade the server", "server version %s is not supported, 10.6 is the first", s.Version)
	}
	return nil
}

// refuseStream returns why changes cannot be read from the server.
func (s *server) refuseStream() error {
	switch {
	case !s.LogBin:
		return failed(pipeline.Environment, "Set log_bin and binlog_format = ROW in the server's configuration, then restart it",
			"the server writes no binary log")
	case s.Format != "ROW":
		return failed(pipeline.Environment, "SET GLOBAL binlog_format = ROW, and in the server's configuration; then reconnect the applications",
			"binlog_format is %s: changes may be logged as statements", s.Format)
	}
	return nil
}
