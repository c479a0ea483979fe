// Runs a driver suite (../suite.json) with gocql. Argument: a JSON list of runs {label, suite, host,
// port, version, compression, keyspace}. Prints a JSON line per case: run, case, ok, outcome. What
// outcomes must be is the caller's business; ok is false where a value was not what had been written.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/apache/cassandra-gocql-driver/v2/lz4"
	"github.com/apache/cassandra-gocql-driver/v2/snappy"
)

const (
	timeout      = 60 * time.Second
	keyOffset    = 1000
	eventTimeout = 15 * time.Second
)

type step struct {
	Do       string
	Cql      string
	Values   json.RawMessage
	Type     string
	Children []step
	Prepared bool
	Serial   string
	Tracing  bool
	Payload  map[string]string
	Table    string
	Key      int
	Bytes    int
	Requests int
	AtOnce   int
	PageSize int
}

type suiteFile struct {
	Types []struct {
		Name     string
		Cql      string
		Literals []string
		// Why a language's driver cannot read it.
		UnreadBy map[string]string
	}
	Cases []struct {
		Name  string
		From  int
		Steps []step
	}
}

type runSpec struct {
	Label       string
	Suite       string
	Host        string
	Port        int
	Version     int
	Compression string
	Keyspace    string
}

type result struct {
	Run     string `json:"run"`
	Case    string `json:"case"`
	Ok      bool   `json:"ok"`
	Outcome any    `json:"outcome"`
	Ms      int64  `json:"ms"`
}

// mismatch: a value came back other than it had been written.
type mismatch struct{ text string }

func (m mismatch) Error() string { return m.text }

type suiteRun struct {
	suite   suiteFile
	run     runSpec
	session *gocql.Session
}

func (r *suiteRun) clusterConfig() *gocql.ClusterConfig {
	cluster := gocql.NewCluster(r.run.Host)
	cluster.Port = r.run.Port
	cluster.ProtoVersion = r.run.Version
	cluster.NumConns = 1
	cluster.Timeout = timeout
	cluster.ConnectTimeout = timeout
	cluster.WriteTimeout = timeout
	cluster.MaxWaitSchemaAgreement = timeout
	cluster.Consistency = gocql.One
	cluster.PoolConfig.HostSelectionPolicy = gocql.RoundRobinHostPolicy()
	switch r.run.Compression {
	case "lz4":
		cluster.Compressor = lz4.LZ4Compressor{}
	case "snappy":
		cluster.Compressor = snappy.SnappyCompressor{}
	}
	return cluster
}

// connect opens a session in the run's keyspace. The driver knows no USE: the keyspace is part of its
// configuration, so it has to be there before.
func (r *suiteRun) connect() (*gocql.Session, error) {
	first, err := r.clusterConfig().CreateSession()
	if err != nil {
		return nil, err
	}
	err = first.Query("CREATE KEYSPACE IF NOT EXISTS " + r.run.Keyspace +
		" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}").Exec()
	first.Close()
	if err != nil {
		return nil, err
	}
	cluster := r.clusterConfig()
	cluster.Keyspace = r.run.Keyspace
	return cluster.CreateSession()
}

// valuesOf: positional values; named ones come as pairs of the driver.
func valuesOf(s step) ([]any, error) {
	raw := s.Values
	if len(raw) == 0 {
		return nil, nil
	}
	var decoded any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&decoded); err != nil {
		return nil, err
	}
	values := []any{}
	switch given := decoded.(type) {
	case []any:
		for _, value := range given {
			values = append(values, valueOf(value))
		}
	case map[string]any:
		names := slices.Collect(maps.Keys(given))
		// The driver takes the n-th value's type from the n-th variable, whatever their names.
		slices.SortFunc(names, func(a, b string) int {
			return strings.Index(s.Cql, ":"+a) - strings.Index(s.Cql, ":"+b)
		})
		for _, name := range names {
			values = append(values, gocql.NamedValue(name, valueOf(given[name])))
		}
	}
	return values, nil
}

func valueOf(value any) any {
	switch given := value.(type) {
	case json.Number:
		number, _ := given.Int64()
		return int(number)
	case map[string]any:
		return gocql.UnsetValue
	default:
		return value
	}
}

// show spells a value the same way each time: pointers are followed, the keys of maps are in order.
func show(value any) string {
	switch given := value.(type) {
	case nil:
		return "null"
	case []byte:
		return fmt.Sprintf("0x%x", given)
	case fmt.Stringer:
		if reflect.ValueOf(value).Kind() == reflect.Pointer && reflect.ValueOf(value).IsNil() {
			return "null"
		}
		return given.String()
	}
	reflected := reflect.ValueOf(value)
	switch reflected.Kind() {
	case reflect.Pointer:
		if reflected.IsNil() {
			return "null"
		}
		return show(reflected.Elem().Interface())
	case reflect.Slice:
		parts := []string{}
		for i := range reflected.Len() {
			parts = append(parts, show(reflected.Index(i).Interface()))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		parts := []string{}
		for _, key := range reflected.MapKeys() {
			parts = append(parts, show(key.Interface())+": "+show(reflected.MapIndex(key).Interface()))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprintf("%v", value)
	}
}

func failure(err error) map[string]any {
	outcome := map[string]any{"message": err.Error()}
	var request gocql.RequestError
	if errors.As(err, &request) {
		outcome["error"] = fmt.Sprintf("0x%04x", request.Code())
	} else {
		outcome["error"] = fmt.Sprintf("%T", err)
	}
	return outcome
}

type traceCounter struct{ traces int }

func (t *traceCounter) Trace([]byte) { t.traces++ }

func readRows(iter *gocql.Iter) (map[string]any, error) {
	rows := []string{}
	columns := iter.Columns()
	for {
		row, err := iter.RowData()
		if err != nil {
			return nil, err
		}
		if !iter.Scan(row.Values...) {
			break
		}
		parts := []string{}
		for i, value := range row.Values {
			parts = append(parts, row.Columns[i]+": "+show(value))
		}
		rows = append(rows, strings.Join(parts, ", "))
	}
	outcome := map[string]any{"rows": rows, "columns": len(columns)}
	if warnings := iter.Warnings(); len(warnings) > 0 {
		outcome["warnings"] = warnings
	}
	if payload := iter.GetCustomPayload(); len(payload) > 0 {
		outcome["payload"] = show(payload)
	}
	return outcome, iter.Close()
}

func serialOf(name string) gocql.Consistency {
	if name == "LOCAL_SERIAL" {
		return gocql.LocalSerial
	}
	return gocql.Serial
}

// This driver prepares every statement that is not DDL or has values, so `simple` and `prepared` are one.
func (r *suiteRun) query(s step) (any, error) {
	values, err := valuesOf(s)
	if err != nil {
		return nil, err
	}
	query := r.session.Query(s.Cql, values...)
	if s.Serial != "" {
		query = query.SerialConsistency(serialOf(s.Serial))
	}
	tracer := &traceCounter{}
	if s.Tracing {
		query = query.Trace(tracer)
	}
	if s.Payload != nil {
		payload := map[string][]byte{}
		for name, value := range s.Payload {
			payload[name] = []byte(value)
		}
		query = query.CustomPayload(payload)
	}
	outcome, err := readRows(query.Iter())
	if err != nil {
		return nil, err
	}
	if s.Tracing {
		outcome["traced"] = tracer.traces
	}
	return outcome, nil
}

func (r *suiteRun) batch(s step) (any, error) {
	types := map[string]gocql.BatchType{
		"logged": gocql.LoggedBatch, "unlogged": gocql.UnloggedBatch, "counter": gocql.CounterBatch,
	}
	batch := r.session.Batch(types[s.Type])
	for _, child := range s.Children {
		values, err := valuesOf(child)
		if err != nil {
			return nil, err
		}
		batch = batch.Query(child.Cql, values...)
	}
	return "done", batch.Exec()
}

func (r *suiteRun) topology() (any, error) {
	outcome := map[string]any{}
	var cluster, release, partitioner, center, rack string
	local := "SELECT cluster_name, release_version, partitioner, data_center, rack FROM system.local"
	err := r.session.Query(local).Scan(&cluster, &release, &partitioner, &center, &rack)
	if err != nil {
		return nil, err
	}
	outcome["cluster"] = cluster
	outcome["local"] = []string{release, partitioner, center, rack}
	hosts := r.session.GetHosts()
	shown := []string{}
	for _, host := range hosts {
		tokens := "tokens"
		if len(host.Tokens()) == 0 {
			tokens = "no tokens"
		}
		shown = append(shown, strings.Join([]string{
			host.DataCenter(), host.Rack(), host.Version().String(), host.State().String(), tokens,
		}, " "))
	}
	outcome["hosts"] = shown
	return outcome, nil
}

func (r *suiteRun) createTypesTable() (any, error) {
	columns := ""
	for _, one := range r.suite.Types {
		columns += ", c_" + one.Name + " " + one.Cql
	}
	return "created", r.session.Query("CREATE TABLE types (k int PRIMARY KEY" + columns + ")").Exec()
}

// tableBecomesKnown: the driver refreshes its metadata some time after it has heard of a change.
func (r *suiteRun) tableBecomesKnown(table string) (*gocql.KeyspaceMetadata, error) {
	for deadline := time.Now().Add(eventTimeout); ; time.Sleep(50 * time.Millisecond) {
		keyspace, err := r.session.KeyspaceMetadata(r.run.Keyspace)
		if err != nil {
			return nil, err
		}
		if _, found := keyspace.Tables[table]; found {
			return keyspace, nil
		}
		if time.Now().After(deadline) {
			return nil, mismatch{"the session did not hear of the table " + table}
		}
	}
}

func (r *suiteRun) schema() (any, error) {
	keyspace, err := r.tableBecomesKnown("changing")
	if err != nil {
		return nil, err
	}
	lines := []string{keyspace.StrategyClass}
	for name, table := range keyspace.Tables {
		for _, column := range table.OrderedColumns {
			described := table.Columns[column]
			lines = append(lines, fmt.Sprintf("%s.%s %v %v", name, column, described.Type.Type(), described.Kind))
		}
	}
	for name, userType := range keyspace.UserTypes {
		lines = append(lines, fmt.Sprintf("type %s %v", name, userType.FieldNames))
	}
	sort.Strings(lines)
	return lines, nil
}

func (r *suiteRun) schemaEvent(s step) (any, error) {
	if _, err := r.session.KeyspaceMetadata(r.run.Keyspace); err != nil {
		return nil, err
	}
	other, err := r.connect()
	if err != nil {
		return nil, err
	}
	err = other.Query(s.Cql).Exec()
	other.Close()
	if err != nil {
		return nil, err
	}
	_, err = r.tableBecomesKnown(s.Table)
	return "heard of", err
}

// readColumns reads the one row of a select; a tuple comes as a column per field.
func (r *suiteRun) readColumns(text string, key int) ([]any, error) {
	iter := r.session.Query(text, key).Iter()
	row, err := iter.RowData()
	if err != nil {
		return nil, err
	}
	if !iter.Scan(row.Values...) {
		return nil, errors.Join(iter.Close(), mismatch{"no row of key " + fmt.Sprint(key)})
	}
	return row.Values, iter.Close()
}

func (r *suiteRun) types() (any, error) {
	outcome := map[string]any{}
	key := 0
	for _, one := range r.suite.Types {
		if one.UnreadBy["go"] != "" {
			continue
		}
		column := "c_" + one.Name
		seen := []string{}
		selection := "SELECT " + column + " FROM types WHERE k = ?"
		for _, literal := range append(one.Literals, "null") {
			key++
			text := fmt.Sprintf("INSERT INTO types (k, %s) VALUES (%d, %s)", column, key, literal)
			if err := r.session.Query(text).Exec(); err != nil {
				return nil, fmt.Errorf("%s %s: %w", column, literal, err)
			}
			written, err := r.readColumns(selection, key)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", column, literal, err)
			}
			bound := []any{key + keyOffset}
			for _, value := range written {
				// Scanned into a value, null becomes the type's zero: it is bound as a pointer to nothing.
				if literal == "null" {
					value = reflect.Zero(reflect.TypeOf(value)).Interface()
				}
				bound = append(bound, value)
			}
			marks := "?"
			if len(written) > 1 {
				marks = "(" + strings.Repeat("?, ", len(written)-1) + "?)"
			}
			err = r.session.Query("INSERT INTO types (k, "+column+") VALUES (?, "+marks+")", bound...).Exec()
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", column, literal, err)
			}
			read, err := r.readColumns(selection, key+keyOffset)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", column, literal, err)
			}
			if show(read) != show(written) {
				return nil, mismatch{fmt.Sprintf("%s: %s was %s, then %s", column, literal, show(written), show(read))}
			}
			seen = append(seen, show(read))
		}
		outcome[one.Name] = seen
	}
	return outcome, nil
}

func (r *suiteRun) size(s step) (any, error) {
	written := make([]byte, s.Bytes)
	for i := range written {
		written[i] = byte(i % 251)
	}
	if err := r.session.Query("INSERT INTO sizes (k, v) VALUES (?, ?)", s.Key, written).Exec(); err != nil {
		return nil, err
	}
	var read []byte
	if err := r.session.Query("SELECT v FROM sizes WHERE k = ?", s.Key).Scan(&read); err != nil {
		return nil, err
	}
	if !bytes.Equal(read, written) {
		return nil, mismatch{fmt.Sprintf("%d bytes were written, %d read", len(written), len(read))}
	}
	return len(read), nil
}

func (r *suiteRun) inFlight(s step) (any, error) {
	free := make(chan struct{}, s.AtOnce)
	faults := []string{}
	var lock sync.Mutex
	var all sync.WaitGroup
	for i := range s.Requests {
		free <- struct{}{}
		all.Add(1)
		go func() {
			defer all.Done()
			err := r.session.Query(s.Cql, i, fmt.Sprintf("value %d", i)).Exec()
			if err != nil {
				lock.Lock()
				faults = append(faults, err.Error())
				lock.Unlock()
			}
			<-free
		}()
	}
	all.Wait()
	return map[string]any{"faults": faults}, nil
}

func (r *suiteRun) page(s step) (any, error) {
	pages := []int{}
	expected := 0
	var state []byte
	for {
		// By its paging state, as an application does that keeps it between two requests.
		iter := r.session.Query(s.Cql).PageSize(s.PageSize).PageState(state).Iter()
		pages = append(pages, iter.NumRows())
		state = iter.PageState()
		for range iter.NumRows() {
			var c int
			var v string
			if !iter.Scan(&c, &v) || c != expected || v != fmt.Sprintf("value %d", expected) {
				return nil, mismatch{"the rows are not those that were written, in order"}
			}
			expected++
		}
		if err := iter.Close(); err != nil {
			return nil, err
		}
		if len(state) == 0 {
			return pages, nil
		}
	}
}

func (r *suiteRun) reconnect() (any, error) {
	r.session.Close()
	session, err := r.connect()
	r.session = session
	return "connected", err
}

func (r *suiteRun) dispatch(s step) (any, error) {
	switch s.Do {
	case "simple", "prepared":
		return r.query(s)
	case "batch":
		return r.batch(s)
	case "topology":
		return r.topology()
	case "create-types-table":
		return r.createTypesTable()
	case "schema":
		return r.schema()
	case "schema-event":
		return r.schemaEvent(s)
	case "types":
		return r.types()
	case "size":
		return r.size(s)
	case "in-flight":
		return r.inFlight(s)
	case "page":
		return r.page(s)
	case "use":
		// The driver forbids the statement and does it itself for each connection.
		return "part of the connection", nil
	case "reconnect":
		return r.reconnect()
	default:
		return nil, mismatch{"no such step: " + s.Do}
	}
}

func (r *suiteRun) runCase(steps []step) (bool, any) {
	outcome := []any{}
	for _, s := range steps {
		told, err := r.dispatch(s)
		var wrong mismatch
		if errors.As(err, &wrong) {
			return false, wrong.text
		}
		if err != nil {
			told = failure(err)
		}
		outcome = append(outcome, told)
	}
	return true, outcome
}

func runAll() error {
	var runs []runSpec
	if err := json.Unmarshal([]byte(os.Args[1]), &runs); err != nil {
		return err
	}
	for _, run := range runs {
		text, err := os.ReadFile(run.Suite)
		if err != nil {
			return err
		}
		var suite suiteFile
		if err := json.Unmarshal(text, &suite); err != nil {
			return err
		}
		one := &suiteRun{suite: suite, run: run}
		if one.session, err = one.connect(); err != nil {
			return fmt.Errorf("%s: %w", run.Label, err)
		}
		for _, c := range suite.Cases {
			if run.Version < c.From {
				continue
			}
			started := time.Now()
			ok, outcome := one.runCase(c.Steps)
			line, err := json.Marshal(result{run.Label, c.Name, ok, outcome, time.Since(started).Milliseconds()})
			if err != nil {
				return err
			}
			fmt.Println(string(line))
		}
		one.session.Close()
	}
	return nil
}

func main() {
	if err := runAll(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
