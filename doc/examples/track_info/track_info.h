/*
 * track_info: asks the Last.fm web API for what is missing in the table
 * track_metadata.
 *
 * The table is the only state.  A run reads the tracks without an answer, most played
 * first, asks for them, several at a time (fetch.c), and writes the answers in small
 * transactions (store.c), so that a run which ends in whatever way loses no more than
 * the answers of the last seconds and the next one goes on from there.  JSON is read
 * by the server: read_track_answer() in track_metadata.sql.
 */
#ifndef TRACK_INFO_H
#define TRACK_INFO_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct
{
	const char *conninfo; /* of libpq */
	const char *query;	  /* gives artist_name, track_name, number of plays */
	const char *url;	  /* of the API */
	const char *key;	  /* to the API */
	int parallel;		  /* requests at a time */
	double rate;		  /* requests a second */
	double timeout;		  /* seconds a request may take */
	int tries;			  /* requests for a track before it has failed */
	double backoff;		  /* seconds before the second request, doubled each time */
	double again;		  /* hours after which a failed track is asked for again */
	int give_up;		  /* tracks failed in a row that end the run; 0: none do */
	int batch;			  /* answers in a transaction */
	long limit;			  /* tracks in this run; 0: all */
	bool verbose;
} Options;

typedef struct
{
	char *artist_key; /* lower-cased: the key of the table */
	char *track_key;
	char *artist; /* as the most plays spell it: what is asked for */
	char *track;
} Track;

/* What an answer means; see track_metadata.sql. */
typedef enum
{
	FOUND,
	NOT_FOUND,
	RETRY,
	PAUSE,
	STOP
} Verdict;

#define REASON_SIZE 1024

extern volatile sig_atomic_t interrupted; /* by SIGINT, SIGTERM or SIGHUP */
extern int wakeup_fd;					  /* becomes readable with it */

/* main.c */
extern void fail(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn)); /* message, exit status 1 */
extern void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void *allocated(void *pointer); /* the same, or no return */

/* store.c: every failure of the database ends the program */
extern void store_open(const Options *options);
extern bool store_lock(void); /* false: another run has it */
extern void store_list_tracks(const Options *options);
extern bool store_next_track(Track *track); /* false: no more; else free_track() it */
extern Verdict store_answer(const Track *track, long http_status, const char *body,
							size_t size, int tries, char reason[REASON_SIZE]);
extern void store_failure(const Track *track, int tries, const char *reason);
extern int store_uncommitted(void);
extern void store_commit(void);
extern void store_close(void);
extern void free_track(Track *track);

/* fetch.c: true if there is nothing left to ask for, or else says what ended it */
extern bool fetch_all(const Options *options);

#endif
