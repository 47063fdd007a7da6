package main

import "fmt"

// stateBlock keeps the positions of a run in a file of its own.
const stateBlock = `
pipeline "bench" {
  state "file" {
    path = env("STATE")
  }
}
`

// streamSource reads the WAL from a slot that is there, without a snapshot.
func streamSource(binary string) string {
	return fmt.Sprintf(`
source "postgres" "orders" {
  dsn         = env("SOURCE")
  slot        = env("SLOT")
  publication = "bench"
  tables      = ["public.orders"]
  snapshot    = "never"
  binary      = %q
}
`, binary)
}

func discardConfig(binary string) string {
	return stateBlock + streamSource(binary) + `
sink "discard" "nowhere" {
  from = source.orders
}
`
}

func kafkaConfig(binary, filter string) string {
	return stateBlock + streamSource(binary) + filter + `
sink "kafka" "topics" {
  from     = ` + kafkaFrom(filter) + `
  brokers  = [env("BROKER")]
  topic    = table.name
  envelope = "debezium"
  create_topics {
    partitions = 4
  }
  format "avro" {
    registry = env("REGISTRY")
  }
}
`
}

func kafkaFrom(filter string) string {
	if filter == "" {
		return "source.orders"
	}
	return "transform.some"
}

func applyConfig(binary string) string {
	return streamSource(binary) + `
pipeline "bench" {
  state "sink" {
    sink = sink.copy
  }
}
sink "postgres" "copy" {
  from = source.orders
  dsn  = env("TARGET")
}
`
}

func snapshotConfig(workers int) string {
	return fmt.Sprintf(`
pipeline "bench" {
  state "sink" {
    sink = sink.copy
  }
}
source "postgres" "orders" {
  dsn         = env("SOURCE")
  slot        = "snap"
  publication = "bench"
  create      = ["slot"]
  tables      = ["public.orders"]
  snapshot    = "only"
  workers     = %d
}
sink "postgres" "copy" {
  from = source.orders
  dsn  = env("TARGET")
}
`, workers)
}

// shareConfig is of processes that share a snapshot, each of which reads and writes one chunk at a time.
func shareConfig() string {
	return `
pipeline "bench" {
  state "postgres" {
    dsn = env("STATE")
  }
}
source "postgres" "orders" {
  dsn         = env("SOURCE")
  slot        = "snap"
  publication = "bench"
  create      = ["slot"]
  tables      = ["public.orders"]
  workers     = 1
}
sink "postgres" "copy" {
  from    = source.orders
  dsn     = env("TARGET")
  workers = 1
}
`
}

func mariaConfig(snapshot string) string {
	return stateBlock + fmt.Sprintf(`
source "mariadb" "orders" {
  dsn      = env("MARIADB")
  tables   = ["bench.orders"]
  snapshot = %q
  workers  = 1
}
sink "discard" "nowhere" {
  from = source.orders
}
`, snapshot)
}

// mariaCopyConfig goes from MariaDB to PostgreSQL; load is the sink's block of that name, or nothing.
func mariaCopyConfig(snapshot, load string) string {
	return fmt.Sprintf(`
pipeline "bench" {
  state "sink" {
    sink = sink.copy
  }
}
source "mariadb" "orders" {
  dsn      = env("MARIADB")
  tables   = ["bench.orders"]
  snapshot = %q
  workers  = 2
}
sink "postgres" "copy" {
  from = source.orders
  dsn  = env("TARGET")
  into = "public.${table.name}"
  %s
}
`, snapshot, load)
}
