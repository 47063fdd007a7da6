package mariadb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pipe-cdc/pipe/pipeline"
	"github.com/pipe-cdc/pipe/pipeline/pipetest"
	"github.com/pipe-cdc/pipe/sources/mariadb/binlog"
)

// These tests take events that this server wrote and rewrite them to what later versions write, as far
// as that is public: MariaDB Knowledge Base, "PARTIAL_ROW_DATA_EVENT", "Gtid_event"; MDEV-31404 (zero
// positions).

// captured are the events that statements, each in a session of its own, leave in the log, and the place before them.
func captured(t *testing.T, c *Config, db string, sql ...string) (place, [][]byte) {
	t.Helper()
	at, err := parsePlace(positionAt(t, maria.QueryText(t, "", "SELECT @@gtid_binlog_pos")[0][0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range sql {
		maria.Exec(t, db, session)
	}
	s := unconnected(t, c, at, &pipetest.Collect{})
	if s.conn, err = s.dump(); err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	_ = s.conn.SetReadDeadline(time.Now().Add(90 * time.Second))
	var out [][]byte
	for {
		e, err := s.conn.Event()
		if err != nil {
			t.Fatal(err)
		}
		if binlog.EventType(e[4]) == binlog.HeartbeatEvent {
			return at, out
		}
		out = append(out, bytes.Clone(e))
	}
}

// unconnected is a stream that is not connected.
func unconnected(t *testing.T, c *Config, at place, out pipeline.Output) *stream {
	t.Helper()
	r, err := newRunner(open(t, c).(*Source))
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := r.newStream(t.Context(), at, out)
	if err != nil {
		t.Fatal(err)
	}
	s.heard = time.Now().Add(time.Hour) // there is no connection whose deadline could be moved
	t.Cleanup(s.held.close)
	return s
}

// fed returns the rows that a stream makes of events, and their places in the file.
func fed(t *testing.T, c *Config, at place, events [][]byte) (rows []string, ats []uint64, err error) {
	t.Helper()
	out := &pipetest.Collect{}
	s := unconnected(t, c, at, out)
	for _, e := range events {
		if err = s.event(e); err != nil {
			break
		}
	}
	if markErr := s.mark(); markErr != nil {
		t.Fatal(markErr)
	}
	if emitErr := s.emit(); emitErr != nil {
		t.Fatal(emitErr)
	}
	for _, b := range out.Batches() {
		for i := range b.Rows {
			ats = append(ats, b.Rows[i].At)
		}
	}
	return out.Rows(), ats, err
}

// made builds an event with the header of another one.
func made(like []byte, typ binlog.EventType, body []byte) []byte {
	e := append(bytes.Clone(like[:binlog.HeaderSize]), body...)
	e[4] = byte(typ)
	binary.LittleEndian.PutUint32(e[9:], uint32(len(e)+4))
	return binary.LittleEndian.AppendUint32(e, crc32.ChecksumIEEE(e))
}

// bodyOf is an event's body without its checksum.
func bodyOf(e []byte) []byte { return e[binlog.HeaderSize : len(e)-4] }

// rewritten maps every event that has rows, or is of a type.
func rewritten(events [][]byte, f func(typ binlog.EventType, e []byte) [][]byte) [][]byte {
	var out [][]byte
	for _, e := range events {
		out = append(out, f(binlog.EventType(e[4]), e)...)
	}
	return out
}

// fragmentsOf makes fragments of a rows event. It says first the number of a fragment, or how many there are.
func fragmentsOf(e []byte, size int, totalFirst, summed bool) [][]byte {
	whole := e
	if !summed {
		whole = bytes.Clone(e[:len(e)-4])
		binary.LittleEndian.PutUint32(whole[9:], uint32(len(whole)))
	}
	total := (len(whole) + size - 1) / size
	var out [][]byte
	for i := range total {
		numbers := []int{i + 1, total}
		if totalFirst {
			numbers = []int{total, i + 1}
		}
		body := binary.LittleEndian.AppendUint32(nil, uint32(numbers[0]))
		body = binary.LittleEndian.AppendUint32(body, uint32(numbers[1]))
		if i == 0 {
			body = binary.LittleEndian.AppendUint64(append(body, 1), uint64(len(whole)))
		} else {
			body = append(body, 0)
		}
		out = append(out, made(e, binlog.PartialRowDataEvent, append(body, whole[i*size:min(len(whole), (i+1)*size)]...)))
	}
	return out
}

// written is a workload with every kind of rows event, and one transaction that is prepared first.
func written(db string) []string {
	xid := "'" + db + "'"
	return []string{strings.Join(xaOf(xid, "INSERT INTO t VALUES (50, 'prepared')"), ";"), "INSERT INTO t VALUES (1, repeat('a', 3000)), (2, 'b')",
		"UPDATE t SET v = concat(v, 'x') WHERE id IN (1, 2)", "XA COMMIT " + xid, "DELETE FROM t WHERE id = 1",
		"SET gtid_domain_id = 3; INSERT INTO t VALUES (3, 'c')"}
}

func rewriting(t *testing.T) (c *Config, at place, events [][]byte, want []string) {
	t.Helper()
	db := maria.Database(t)
	maria.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	c = configFor(t, maria, db)
	c.Snapshot, c.Heartbeat = policyNever, 100*time.Millisecond
	at, events = captured(t, c, db, written(db)...)
	want, _, err := fed(t, c, at, events)
	if err != nil || len(want) != 7 {
		t.Fatalf("%v, %v", want, err)
	}
	return c, at, events, want
}

// TestFragments holds that rows events which later versions cut into fragments come whole, and that
// fragments which do not fit together stop the stream.
func TestFragments(t *testing.T) {
	c, at, events, want := rewriting(t)
	for _, totalFirst := range []bool{false, true} {
		for _, summed := range []bool{false, true} {
			for _, size := range []int{20, 1000, 1 << 20} {
				have, _, err := fed(t, c, at, rewritten(events, func(typ binlog.EventType, e []byte) [][]byte {
					if _, rows := typ.Rows(); rows {
						return fragmentsOf(e, size, totalFirst, summed)
					}
					return [][]byte{e}
				}))
				if diff := cmp.Diff(want, have); err != nil || diff != "" {
					t.Errorf("fragments of %d, %v, %v: %v\n%s", size, totalFirst, summed, err, diff)
				}
			}
		}
	}
	for name, spoil := range map[string]func([][]byte) [][]byte{
		"one is missing":    func(f [][]byte) [][]byte { return append(f[:1:1], f[2:]...) },
		"the last is gone":  func(f [][]byte) [][]byte { return f[:len(f)-1] },
		"one comes twice":   func(f [][]byte) [][]byte { return append([][]byte{f[0], f[0]}, f[1:]...) },
		"the first is gone": func(f [][]byte) [][]byte { return f[1:] },
		"one is too long": func(f [][]byte) [][]byte {
			f[1] = made(f[1], binlog.PartialRowDataEvent, append(bodyOf(f[1]), 7))
			return f
		},
		"no rows event": func(f [][]byte) [][]byte {
			return fragmentsOf(made(f[0], binlog.TableMapEvent, make([]byte, 60)), 30, false, true)
		},
		"one of another one": func(f [][]byte) [][]byte {
			b := bytes.Clone(bodyOf(f[1]))
			b[4]++
			f[1] = made(f[1], binlog.PartialRowDataEvent, b)
			return f
		},
	} {
		_, _, err := fed(t, c, at, rewritten(events, func(typ binlog.EventType, e []byte) [][]byte {
			if _, rows := typ.Rows(); rows && len(e) > 1000 {
				return spoil(fragmentsOf(e, 300, false, true))
			}
			return [][]byte{e}
		}))
		if !errors.Is(err, binlog.ErrFragments) || pipeline.ClassOf(err) != pipeline.Environment {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestZeroPositions holds that events without a place in the file, and GTID events that say more than
// ours do, are read as any others: positions are GTIDs.
func TestZeroPositions(t *testing.T) {
	c, at, events, want := rewriting(t)
	have, ats, err := fed(t, c, at, rewritten(events, func(typ binlog.EventType, e []byte) [][]byte {
		switch _, rows := typ.Rows(); {
		case rows, typ == binlog.TableMapEvent, typ == binlog.QueryEvent && !bytes.Contains(e, []byte("XA COMMIT")):
			binary.LittleEndian.PutUint32(e[13:], 0)
			e = made(e, typ, bodyOf(e))
		case typ == binlog.GTIDEvent:
			e = made(e, typ, append(bytes.Clone(bodyOf(e)), 0x11, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0))
		}
		return [][]byte{e}
	}))
	if diff := cmp.Diff(want, have); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for i, n := range ats {
		if n == 0 || i > 0 && n < ats[i-1] {
			t.Errorf("row %d is at %d of %v", i, n, ats)
		}
	}
}

// TestUnknownEvent holds that an event that nobody knows stops the stream, unless it may be passed over.
func TestUnknownEvent(t *testing.T) {
	c, at, events, want := rewriting(t)
	for _, flags := range []uint16{0, binlog.FlagIgnorable} {
		have, _, err := fed(t, c, at, rewritten(events, func(typ binlog.EventType, e []byte) [][]byte {
			if typ != binlog.XIDEvent {
				return [][]byte{e}
			}
			strange := bytes.Clone(e)
			binary.LittleEndian.PutUint16(strange[17:], flags)
			return [][]byte{made(strange, 199, []byte("something")), e}
		}))
		if flags == 0 && pipeline.ClassOf(err) != pipeline.Environment {
			t.Errorf("an event of type 199: %v", err)
		}
		if diff := cmp.Diff(want, have); flags != 0 && (err != nil || diff != "") {
			t.Errorf("an event that may be passed over: %v\n%s", err, diff)
		}
	}
	damaged := bytes.Clone(events[len(events)-1])
	damaged[len(damaged)-1] ^= 1
	if _, _, err := fed(t, c, at, append(events[:len(events)-1:len(events)-1], damaged)); err == nil {
		t.Error("a wrong checksum was not seen")
	}
}
