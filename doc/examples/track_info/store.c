/*
 * store.c: the database of track_info.
 *
 * The list of tracks is a cursor that outlives transactions, so memory does not grow
 * with it.  It is read after the lock is taken, when no other run can be writing.
 * Answers are written in a transaction that store_commit() ends.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "track_info.h"

static PGconn *conn;
static PGresult *tracks; /* rows of the list fetched last */
static int next_row;
static int uncommitted;

static PGresult *
checked(PGresult *result, ExecStatusType expected)
{
	if (PQresultStatus(result) != expected)
	{
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		const char *message = PQresultErrorMessage(result);
		bool unmade =
			state != NULL && (strcmp(state, "42P01") == 0 || strcmp(state, "42883") == 0);

		fail("%s%s", message[0] ? message : PQerrorMessage(conn),
			 unmade ? "HINT:  doc/examples/track_metadata.sql makes the table "
					  "track_metadata; --query says where the tracks are."
					: "");
	}
	return result;
}

static void
command(const char *sql)
{
	PQclear(checked(PQexec(conn, sql), PGRES_COMMAND_OK));
}

static void
prepare(const char *name, const char *sql)
{
	PQclear(checked(PQprepare(conn, name, sql, 0, NULL), PGRES_COMMAND_OK));
}

void
store_open(const Options *options)
{
	const char *names[] = {"fallback_application_name", "dbname", "client_encoding",
						   NULL};
	const char *values[] = {"track_info", options->conninfo, "UTF8", NULL};

	conn = PQconnectdbParams(names, values, 1);
	if (conn == NULL || PQstatus(conn) != CONNECTION_OK)
		fail("%s", conn == NULL ? "out of memory" : PQerrorMessage(conn));

		/* An answer once known stays; only a failure gives way. */
#define INSERT_ROW                                                                 \
	"INSERT INTO track_metadata AS m (artist_name, track_name, duration, genres, " \
	"status, reason, tries, asked_at) "
#define REPLACE_FAILURE                                                            \
	" ON CONFLICT (artist_name, track_name) DO UPDATE "                            \
	"SET duration = excluded.duration, genres = excluded.genres, "                 \
	"status = excluded.status, reason = excluded.reason, tries = excluded.tries, " \
	"asked_at = excluded.asked_at WHERE m.status = 'failed'"

	prepare("answer", "WITH a AS MATERIALIZED "
					  "(SELECT * FROM read_track_answer($3::integer, $4::bytea)), "
					  "stored AS (" INSERT_ROW "SELECT $1::text, $2::text, duration, "
					  "coalesce(genres, '{}'), verdict, reason, $5::integer, "
					  "clock_timestamp() FROM a "
					  "WHERE verdict IN ('found', 'not found')" REPLACE_FAILURE ") "
					  "SELECT verdict, reason FROM a");
	prepare("failure",
			INSERT_ROW "VALUES ($1::text, $2::text, NULL, '{}', 'failed', $4::text, "
					   "$3::integer, clock_timestamp())" REPLACE_FAILURE);
}

bool
store_lock(void)
{
	PGresult *result = checked(PQexec(conn, "SELECT pg_try_advisory_lock("
											"'track_metadata'::regclass::oid::bigint)"),
							   PGRES_TUPLES_OK);
	bool locked = PQgetvalue(result, 0, 0)[0] == 't';

	PQclear(result);
	return locked;
}

/*
 * Names that differ in case are one track, asked for by the spelling of most plays.
 * The order is complete, so that it does not depend on the plan.
 */
void
store_list_tracks(const Options *options)
{
	static const char format[] =
		"DECLARE tracks NO SCROLL CURSOR WITH HOLD FOR "
		"SELECT u.artist_key, u.track_key, u.artist, u.track FROM ("
		"SELECT lower(artist) AS artist_key, lower(track) AS track_key, "
		"(array_agg(artist ORDER BY plays DESC NULLS LAST, artist COLLATE \"C\", "
		"track COLLATE \"C\"))[1] AS artist, "
		"(array_agg(track ORDER BY plays DESC NULLS LAST, artist COLLATE \"C\", "
		"track COLLATE \"C\"))[1] AS track, sum(plays) AS plays "
		"FROM (%s\n) AS q (artist, track, plays) WHERE artist <> '' AND track <> '' "
		"GROUP BY 1, 2) AS u "
		"LEFT JOIN track_metadata m "
		"ON m.artist_name = u.artist_key AND m.track_name = u.track_key "
		"WHERE m.status IS NULL OR (m.status = 'failed' "
		"AND m.asked_at <= clock_timestamp() - %.6f * interval '1 hour') "
		"ORDER BY u.plays DESC NULLS LAST, u.artist_key COLLATE \"C\", "
		"u.track_key COLLATE \"C\"%s";
	char limit[40] = "";
	size_t size = sizeof(format) + strlen(options->query) + sizeof(limit) + 400;
	char *sql = allocated(malloc(size));

	if (options->limit > 0)
		snprintf(limit, sizeof(limit), " LIMIT %ld", options->limit);
	snprintf(sql, size, format, options->query, options->again, limit);
	command("BEGIN");
	command(sql);
	command("COMMIT");
	free(sql);
}

static char *
copy_of(int row, int column)
{
	return allocated(strdup(PQgetvalue(tracks, row, column)));
}

bool
store_next_track(Track *track)
{
	if (tracks == NULL || next_row == PQntuples(tracks))
	{
		PQclear(tracks);
		tracks = checked(PQexec(conn, "FETCH 500 FROM tracks"), PGRES_TUPLES_OK);
		next_row = 0;
		if (PQntuples(tracks) == 0)
			return false;
	}
	track->artist_key = copy_of(next_row, 0);
	track->track_key = copy_of(next_row, 1);
	track->artist = copy_of(next_row, 2);
	track->track = copy_of(next_row, 3);
	next_row++;
	return true;
}

void
free_track(Track *track)
{
	free(track->artist_key);
	free(track->track_key);
	free(track->artist);
	free(track->track);
	*track = (Track){0};
}

static void
begin(void)
{
	if (PQtransactionStatus(conn) == PQTRANS_IDLE)
		command("BEGIN");
}

Verdict
store_answer(const Track *track, long http_status, const char *body, size_t size,
			 int tries, char reason[REASON_SIZE])
{
	static const char *const names[] = {"found", "not found", "retry", "pause", "stop"};
	char status[24], count[16];
	const char *values[] = {track->artist_key, track->track_key, status, body, count};
	int lengths[] = {0, 0, 0, (int) size, 0};
	int formats[] = {0, 0, 0, 1, 0};
	Verdict verdict = FOUND;

	snprintf(status, sizeof(status), "%ld", http_status);
	snprintf(count, sizeof(count), "%d", tries);
	begin();

	PGresult *result = checked(
		PQexecPrepared(conn, "answer", 5, values, lengths, formats, 0), PGRES_TUPLES_OK);

	while (strcmp(PQgetvalue(result, 0, 0), names[verdict]) != 0)
	{
		if (verdict == STOP)
			fail("read_track_answer() of another version: verdict \"%s\"",
				 PQgetvalue(result, 0, 0));
		verdict++;
	}
	snprintf(reason, REASON_SIZE, "%s", PQgetvalue(result, 0, 1));
	PQclear(result);
	if (verdict == FOUND || verdict == NOT_FOUND)
		uncommitted++;
	return verdict;
}

void
store_failure(const Track *track, int tries, const char *reason)
{
	char count[16];
	const char *values[] = {track->artist_key, track->track_key, count, reason};

	snprintf(count, sizeof(count), "%d", tries);
	begin();
	PQclear(checked(PQexecPrepared(conn, "failure", 4, values, NULL, NULL, 0),
					PGRES_COMMAND_OK));
	uncommitted++;
}

int
store_uncommitted(void)
{
	return uncommitted;
}

void
store_commit(void)
{
	if (PQtransactionStatus(conn) != PQTRANS_IDLE)
		command("COMMIT");
	uncommitted = 0;
}

void
store_close(void)
{
	store_commit();
	PQclear(tracks);
	PQfinish(conn);
}
