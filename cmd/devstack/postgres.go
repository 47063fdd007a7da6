package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/pipe-cdc/pipe/pipeline/pipetest/server"
)

// hba lets the user demo in by password over TCP, and whoever may open the socket as anybody.
const hba = `local all all trust
local replication all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
`

// demoRole makes the role that the demos use: no superuser, but with what pipe wants to be granted.
const demoRole = `DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'demo') THEN
		CREATE ROLE demo LOGIN REPLICATION PASSWORD 'demo';
	END IF;
	IF current_setting('server_version_num')::int >= 150000 THEN
		EXECUTE 'GRANT SET ON PARAMETER session_replication_role TO demo';
	END IF;
END $$`

func (s *stack) postgres(ctx context.Context, port int) error {
	p, err := server.StartPostgres(ctx, server.PostgresConfig{
		Port: port, Dir: filepath.Join(s.dir, "postgres"), HBA: hba,
	})
	if err != nil {
		return err
	}
	url := func(database string) string {
		return fmt.Sprintf("postgres://demo:demo@127.0.0.1:%d/%s?sslmode=disable", p.Port, database)
	}
	s.started(p.Close, "DATABASE_URL="+url("shop"), "WAREHOUSE_URL="+url("warehouse"))
	s.watch("PostgreSQL", p.Exited())
	s.mu.Lock()
	s.path = p.BinDir
	s.mu.Unlock()
	return s.databases(ctx, p)
}

// databases makes the role demo and its databases where they are missing.
func (s *stack) databases(ctx context.Context, p *server.Postgres) error {
	conn, err := pgx.Connect(ctx, p.SocketDSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, demoRole); err != nil {
		return err
	}
	for _, name := range []string{"shop", "warehouse"} {
		var there bool
		err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" OWNER demo"); err != nil {
			return err
		}
	}
	return nil
}
