package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/longshore/api/internal/consignment"
)

// Postgres is a Store in a PostgreSQL database.
type Postgres struct{ pool *pgxpool.Pool }

// ErrBadURL is returned for a connection string that cannot be read. The
// parser's own message is left out: it may quote a part of the password.
var ErrBadURL = errors.New("DATABASE_URL cannot be read (its value is not shown): want memory:// or " +
	"postgres://user:password@host:5432/name, with special characters in the password percent-encoded")

// cutPassword matches a URL whose password holds a bare '/', '?' or '#'. What
// follows that would be read, and logged, as the name of the database.
var cutPassword = regexp.MustCompile(`^[a-z]+://[^@/?#]*[/?#].*@`)

const (
	attemptTimeout = 2 * time.Second
	firstDelay     = 100 * time.Millisecond
	longestDelay   = 2 * time.Second
)

// OpenPostgres connects, and tries again for as long as wait while the database
// does not answer. No error and no log line holds the password.
func OpenPostgres(ctx context.Context, url string, wait time.Duration, log *slog.Logger) (*Postgres, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil || cutPassword.MatchString(url) {
		return nil, ErrBadURL
	}
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		codec := &pgtype.TimestamptzCodec{ScanLocation: time.UTC}
		conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: codec})
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("make a connection pool: %w", err)
	}
	giveUp, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for delay := firstDelay; ; delay = min(2*delay, longestDelay) {
		if err = ping(giveUp, pool); err == nil {
			log.Info("connected to the database", "host", cfg.ConnConfig.Host, "database", cfg.ConnConfig.Database)
			return &Postgres{pool}, nil
		}
		log.Warn("the database does not answer", "error", err.Error(), "next_try_in", delay.String())
		select {
		case <-time.After(delay):
		case <-giveUp.Done():
			pool.Close()
			return nil, fmt.Errorf("no connection to the database within %s: %w", wait, err)
		}
	}
}

func ping(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return pool.Ping(ctx)
}

func (*Postgres) Name() string                     { return "postgres" }
func (p *Postgres) Ping(ctx context.Context) error { return p.pool.Ping(ctx) }
func (p *Postgres) Close()                         { p.pool.Close() }

const (
	columns      = `id, reference, shipper, consignee, origin, destination, weight_grams, status, created_at, updated_at`
	eventColumns = `id, status, location, signed_by, at`
)

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func get(ctx context.Context, db querier, where, id string) (consignment.Consignment, error) {
	rows, _ := db.Query(ctx, `SELECT `+columns+` FROM consignments `+where, id) // the rows hold the error
	c, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[consignment.Consignment])
	if errors.Is(err, pgx.ErrNoRows) {
		return c, ErrNotFound
	}
	return c, err
}

func addEvent(ctx context.Context, tx pgx.Tx, consignmentID string, e consignment.Event) error {
	_, err := tx.Exec(ctx, `INSERT INTO events (consignment_id, `+eventColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`,
		consignmentID, e.ID, e.Status, e.Location, e.SignedBy, e.At)
	return err
}

func (p *Postgres) Create(ctx context.Context, c consignment.Consignment, first consignment.Event) error {
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO consignments (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			c.ID, c.Reference, c.Shipper, c.Consignee, c.Origin, c.Destination, c.WeightGrams, c.Status, c.CreatedAt, c.UpdatedAt)
		if err != nil {
			return err
		}
		return addEvent(ctx, tx, c.ID, first)
	})
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.ConstraintName == "consignments_reference_key" {
		return ErrDuplicateReference
	}
	return err
}

func (p *Postgres) Get(ctx context.Context, id string) (consignment.Consignment, error) {
	return get(ctx, p.pool, `WHERE id = $1`, id)
}

func (p *Postgres) List(ctx context.Context, page Page) ([]consignment.Consignment, error) {
	var before *string
	if page.Before != "" {
		before = &page.Before
	}
	rows, _ := p.pool.Query(ctx, `SELECT `+columns+` FROM consignments
		WHERE ($1 = '' OR status = $1) AND ($2::uuid IS NULL OR id < $2)
		ORDER BY id DESC LIMIT $3`, page.Status, before, page.Limit)
	return pgx.CollectRows(rows, pgx.RowToStructByName[consignment.Consignment])
}

func (p *Postgres) Update(ctx context.Context, id string, decide Decide) (event consignment.Event, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		c, err := get(ctx, tx, `WHERE id = $1 FOR UPDATE`, id)
		if err != nil {
			return err
		}
		if c, event, err = decide(c); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE consignments SET status = $2, updated_at = $3 WHERE id = $1`, id, c.Status, c.UpdatedAt); err != nil {
			return err
		}
		return addEvent(ctx, tx, id, event)
	})
	return event, err
}

func (p *Postgres) Events(ctx context.Context, id string) ([]consignment.Event, error) {
	rows, _ := p.pool.Query(ctx, `SELECT `+eventColumns+` FROM events WHERE consignment_id = $1 ORDER BY seq`, id)
	events, err := pgx.CollectRows(rows, pgx.RowToStructByName[consignment.Event])
	if err == nil && len(events) == 0 { // every consignment has its first event
		return nil, ErrNotFound
	}
	return events, err
}
