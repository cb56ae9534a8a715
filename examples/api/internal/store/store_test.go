package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/longshore/api/internal/consignment"
	"example.com/longshore/api/internal/pgtest"
	"example.com/longshore/api/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t *testing.T, url string) *store.Postgres {
	t.Helper()
	db, err := store.OpenPostgres(t.Context(), url, 10*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func migrate(t *testing.T, db *store.Postgres) string {
	t.Helper()
	var log bytes.Buffer
	if err := db.Migrate(t.Context(), slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

// each runs a test on both stores.
func each(t *testing.T, test func(*testing.T, store.Store)) {
	t.Run("memory", func(t *testing.T) { test(t, store.NewMemory()) })
	t.Run("postgres", func(t *testing.T) {
		db := open(t, pgtest.URL(t))
		migrate(t, db)
		test(t, db)
	})
}

func book(t *testing.T, reference string) (consignment.Consignment, consignment.Event) {
	t.Helper()
	c, event, err := consignment.Book(consignment.Booking{
		Reference: reference, Shipper: "Nordwind GmbH", Consignee: "Acme Ltd",
		Origin: "DEHAM", Destination: "GBLON", WeightGrams: 1200,
	}, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return c, event
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	each(t, func(t *testing.T, st store.Store) {
		ctx := t.Context()
		c, event := book(t, "REF-1")
		if err := st.Create(ctx, c, event); err != nil {
			t.Fatal(err)
		}
		got, err := st.Get(ctx, c.ID)
		if err != nil || got != c {
			t.Errorf("got %+v, %v; want %+v", got, err, c)
		}
		events, err := st.Events(ctx, c.ID)
		if err != nil || len(events) != 1 || events[0] != event {
			t.Errorf("got %+v, %v; want %+v", events, err, event)
		}
		again, event := book(t, "REF-1")
		if err := st.Create(ctx, again, event); !errors.Is(err, store.ErrDuplicateReference) {
			t.Errorf("a second use of the reference: %v", err)
		}
	})
}

func TestUpdatesOfOneConsignmentTakeTurns(t *testing.T) {
	each(t, func(t *testing.T, st store.Store) {
		c, event := book(t, "REF-1")
		if err := st.Create(t.Context(), c, event); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		var deciding atomic.Int32
		errs := make([]error, 8)
		for i := range errs {
			group.Go(func() {
				_, errs[i] = st.Update(context.Background(), c.ID, func(c consignment.Consignment) (consignment.Consignment, consignment.Event, error) {
					if deciding.Add(1) > 1 {
						t.Error("two decisions at once")
					}
					time.Sleep(10 * time.Millisecond) // time for another to come in, if it can
					deciding.Add(-1)
					return c.Accept(consignment.Report{Status: consignment.Collected, Location: "DEHAM"}, c.CreatedAt)
				})
			})
		}
		group.Wait()
		accepted := 0
		for _, err := range errs {
			var rule consignment.RuleError
			if err == nil {
				accepted++
			} else if !errors.As(err, &rule) {
				t.Errorf("want a rule error, got %v", err)
			}
		}
		events, err := st.Events(t.Context(), c.ID)
		if accepted != 1 || len(events) != 2 || err != nil {
			t.Errorf("accepted %d times, %d events, %v; want once and 2", accepted, len(events), err)
		}
	})
}

func TestMigrateTwice(t *testing.T) {
	db := open(t, pgtest.URL(t))
	if log := migrate(t, db); !strings.Contains(log, "version=3 applied=3") {
		t.Errorf("first run: %s", log)
	}
	c, event := book(t, "REF-1")
	if err := db.Create(t.Context(), c, event); err != nil {
		t.Fatal(err)
	}
	if log := migrate(t, db); !strings.Contains(log, "version=3 applied=0") {
		t.Errorf("second run: %s", log)
	}
	if _, err := db.Get(t.Context(), c.ID); err != nil {
		t.Errorf("the second run lost data: %v", err)
	}
}

func TestMigrateConcurrently(t *testing.T) {
	url := pgtest.URL(t)
	const tasks = 6
	logs := make([]string, tasks)
	dbs := make([]*store.Postgres, tasks)
	for i := range dbs {
		dbs[i] = open(t, url)
	}
	var group sync.WaitGroup
	for i := range dbs {
		group.Go(func() {
			var log bytes.Buffer
			if err := dbs[i].Migrate(context.Background(), slog.New(slog.NewTextHandler(&log, nil))); err != nil {
				t.Errorf("task %d: %v", i, err)
			}
			logs[i] = log.String()
		})
	}
	group.Wait()
	if all := strings.Join(logs, ""); strings.Count(all, "applied=3") != 1 || strings.Count(all, "applied=0") != tasks-1 {
		t.Errorf("want one task to apply everything and the others nothing:\n%s", all)
	}
}

func TestMigrateOnASchemaOfAnotherBuild(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, url)
	migrate(t, db)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())

	if _, err := conn.Exec(t.Context(), `INSERT INTO schema_migrations (version, name) VALUES (4, '0004_later')`); err != nil {
		t.Fatal(err)
	}
	if log := migrate(t, db); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "database_version=4 build_version=3") {
		t.Errorf("a database ahead of the build: %s", log)
	}

	if _, err := conn.Exec(t.Context(), `UPDATE schema_migrations SET name = '0002_other' WHERE version = 2`); err != nil {
		t.Fatal(err)
	}
	err = db.Migrate(t.Context(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), `version 2 was applied as "0002_other"`) {
		t.Errorf("another migration of the same version: %v", err)
	}
}

func TestPasswordsStayOutOfErrorsAndLogs(t *testing.T) {
	for _, url := range []string{
		"postgres://api:hunter2@127.0.0.1:1/api",
		"postgres://api:hunter2/x@127.0.0.1:1/api",
		"postgres://api:hunter2%zz@127.0.0.1/api",
		"host=127.0.0.1 port=1 user=api password=hunter2",
		"host=127.0.0.1 port=x password='hunter2",
		"postgres//api:hunter2@db",
		"postgres://api:9/hunter2@127.0.0.1:1/api",
		"postgres://api:hunter2?x@127.0.0.1:1/api",
		"postgres://api:hunter2#x@127.0.0.1:1/api",
		"password = hunter2 port=1x",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			db, err := store.OpenPostgres(t.Context(), url, 150*time.Millisecond, slog.New(slog.NewJSONHandler(&log, nil)))
			if err == nil {
				db.Close()
				t.Fatal("want an error")
			}
			if text := fmt.Sprintf("%v %+v %s", err, err, log.String()); strings.Contains(text, "hunter2") {
				t.Errorf("the password is shown: %s", text)
			}
		})
	}
}
