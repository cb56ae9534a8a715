package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"

	"github.com/jackc/pgx/v5"
)

// migrationFiles are applied in the order of their names: 0001_name.sql is
// version 1. While a deployment rolls, and after it was rolled back, tasks of
// the previous version run on the new schema. So a migration only adds; what it
// replaces is dropped by a later release.
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// lockClass keeps the advisory lock apart from those of other programs.
const lockClass = 0x636f6e73

// Migrate brings the schema up to date, all of it or nothing. It may run any
// number of times and in several processes at once: the advisory lock, which is
// held until the transaction ends, lets one in at a time.
func (p *Postgres) Migrate(ctx context.Context, log *slog.Logger) error {
	files, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return err
	}
	var applied []string
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if applied, err = lockAndRead(ctx, tx); err != nil {
			return err
		}
		for i, file := range files {
			name := strings.TrimSuffix(path.Base(file), ".sql")
			if i < len(applied) {
				if applied[i] != name {
					return fmt.Errorf("version %d was applied as %q, and this build has it as %q", i+1, applied[i], name)
				}
				continue
			}
			sql, err := migrationFiles.ReadFile(file)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, string(sql)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO schema_migrations (version, name) VALUES ($1, $2)`, i+1, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	if len(applied) > len(files) {
		log.Warn("the database is ahead of this build, as it is after a rollback", "database_version", len(applied), "build_version", len(files))
	} else {
		log.Info("the database schema is up to date", "version", len(files), "applied", len(files)-len(applied))
	}
	return nil
}

// lockAndRead waits for the lock and returns the names of the migrations that
// were applied, in order.
func lockAndRead(ctx context.Context, tx pgx.Tx) ([]string, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockClass); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
		version    integer     PRIMARY KEY,
		name       text        NOT NULL,
		applied_at timestamptz NOT NULL DEFAULT now()
	)`); err != nil {
		return nil, err
	}
	rows, _ := tx.Query(ctx, `SELECT name FROM schema_migrations ORDER BY version`)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
