/*
 * skips.c: writes an invented log of sessions in which tracks are skipped, in the files
 * of the sequential skip prediction challenge, and beside it the best possible answer
 * for the second half of each.
 *
 * The skips follow the law of skip_law.h, whose ideal predictor is exact; what is played
 * is in skip_session.h.  Sessions are independent and written one after the other, so
 * memory grows with the catalogue only.  The same options give the same files.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "options.h"
#include "skip_law.h"
#include "skip_session.h"

/* Streams of a session, by purpose. */
enum
{
	LENGTHS,
	PLAYS,
	SKIPS,
	REACTIONS,
	USERS,
	PURPOSES = 8
};

#define DAY_SECONDS 86400
#define TRACK_FILES 2

static const char log_header[] =
	"session_id,session_position,session_length,track_id_clean,skip_1,skip_2,skip_3,"
	"not_skipped,context_switch,no_pause_before_play,short_pause_before_play,"
	"long_pause_before_play,hist_user_behavior_n_seekfwd,hist_user_behavior_n_seekback,"
	"hist_user_behavior_is_shuffle,hour_of_day,date,premium,context_type,"
	"hist_user_behavior_reason_start,hist_user_behavior_reason_end\n";

static const char track_header[] =
	"track_id,duration,release_year,us_popularity_estimate,acousticness,beat_strength,"
	"bounciness,danceability,dyn_range_mean,energy,flatness,instrumentalness,key,"
	"liveness,loudness,mechanism,mode,organism,speechiness,tempo,time_signature,valence,"
	"acoustic_vector_0,acoustic_vector_1,acoustic_vector_2,acoustic_vector_3,"
	"acoustic_vector_4,acoustic_vector_5,acoustic_vector_6,acoustic_vector_7\n";

/* What the law asks of a track. */
typedef struct Taste
{
	double feature[SL_TASTES];
	double appeal;
} Taste;

typedef struct Run
{
	int64_t sessions;
	int tracks;
	int64_t users; /* 0: none */
	int length;	   /* 0: the published mixture */
	int days;
	int64_t start; /* seconds since 1970 */
	uint64_t seed;
	double appeal;
	const char *folder;
	FILE *log; /* of one day */
	FILE *truth;
	FILE *playlists;
	FILE *members;
	SlSkipLaw law;
	Taste *taste;
	int64_t plays;
	int64_t skips;
	double expected; /* sums over sessions, from here on */
	double ideal;
	double likely;
	double last_state;
	double all_skip;
	double first_ideal;
	double first_last_state;
	double first_all_skip;
} Run;

/* ---- files ---- */

static FILE *
open_in_folder(const Run *run, const char *name)
{
	size_t size = strlen(run->folder) + strlen(name) + 2;
	char *path = malloc(size);
	FILE *file;

	if (!path)
		abort();
	snprintf(path, size, "%s/%s", run->folder, name);
	file = sl_open_output(path);
	free(path);
	return file;
}

static void
date_of(const Run *run, int day, const char *format, char *out, size_t size)
{
	time_t time = (time_t) (run->start + (int64_t) day * DAY_SECONDS);
	struct tm tm;

	strftime(out, size, format, gmtime_r(&time, &tm));
}

/* The log of one day, named as those of the data set. */
static void
open_day(Run *run, int day)
{
	char name[64];

	sl_close_output(run->log);
	date_of(run, day, "log_0_%Y%m%d_000000000000.csv", name, sizeof(name));
	run->log = open_in_folder(run, name);
	fputs(log_header, run->log);
}

/* ---- the catalogue ---- */

static void
print_track(FILE *file, const char *id, const SlTrack *t)
{
	fprintf(file, "%s,%.6f,%d,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f,%d,", id,
			t->duration, t->release_year, t->popularity, t->taste[2], t->beat_strength,
			t->bounciness, t->taste[3], t->dyn_range_mean, t->taste[0], t->flatness,
			t->instrumentalness, t->key);
	fprintf(file, "%.6f,%.6f,%.6f,%s,%.6f,%.6f,%.6f,%d,%.6f", t->liveness, t->loudness,
			t->mechanism, t->major ? "major" : "minor", t->organism, t->speechiness,
			t->tempo, t->time_signature, t->taste[1]);
	for (int i = 0; i < SL_ACOUSTIC; i++)
		fprintf(file, ",%.6f", t->acoustic[i]);
	fputc('\n', file);
}

/* Keeps what the law needs of each track, and writes the files asked for. */
static void
make_catalogue(Run *run)
{
	FILE *file = NULL;

	run->taste = calloc((size_t) run->tracks, sizeof(Taste));
	if (!run->taste)
		abort();
	for (int i = 0, part = 0; i < run->tracks; i++)
	{
		SlTrack track;
		char id[SL_ID_SIZE];
		char name[64];

		sl_track(i, run->tracks, &track);
		sl_track_id(i, run->tracks, id);
		memcpy(run->taste[i].feature, track.taste, sizeof(track.taste));
		run->taste[i].appeal = run->appeal * track.appeal;
		if (run->playlists)
			fprintf(run->playlists, "%s\t%d\t%d\n", id, i / SL_PLAYLIST + 1,
					i % SL_PLAYLIST + 1);
		if (!run->folder)
			continue;
		if (part < TRACK_FILES && i >= (int64_t) part * run->tracks / TRACK_FILES)
		{
			sl_close_output(file);
			snprintf(name, sizeof(name), "tf_%012d.csv", part++);
			file = open_in_folder(run, name);
			fputs(track_header, file);
		}
		print_track(file, id, &track);
	}
	sl_close_output(file);
}

/* ---- one session ---- */

static SlDraw
session_draw(const Run *run, int64_t session, int purpose)
{
	return (SlDraw){.seed = run->seed,
					.stream = (uint64_t) session * PURPOSES + (uint64_t) purpose};
}

/* One of n, each with its weight; the weights sum to 1. */
static int
draw_mood(SlDraw *draw, const double weight[SL_MOODS])
{
	double u = sl_draw_uniform(draw);
	int m = 0;

	while (m < SL_MOODS - 1 && u >= weight[m])
		u -= weight[m++];
	return m;
}

/* Bits of the skips, by the law as it is stated. */
static unsigned
draw_skips(const SlSkipLaw *law, SlDraw *draw, int length, const SlChance *chance)
{
	int mood = draw_mood(draw, law->start);
	unsigned skipped = 0;

	for (int i = 0; i < length; i++)
	{
		skipped |= (unsigned) (sl_draw_uniform(draw) < chance[i].skip[mood]) << i;
		mood = draw_mood(draw, law->move[mood]);
	}
	return skipped;
}

static const char *
boolean(bool value)
{
	return value ? "true" : "false";
}

static void
print_session(const Run *run, const char *id, int day, const SlSkipSession *session)
{
	char date[16];

	date_of(run, day, "%Y-%m-%d", date, sizeof(date));
	for (int i = 0; i < session->length; i++)
	{
		const SlSkipPlay *play = &session->play[i];
		char track[SL_ID_SIZE];

		sl_track_id(play->track, run->tracks, track);
		fprintf(run->log, "%s,%d,%d,%s,%s,%s,%s,%s,", id, i + 1, session->length, track,
				boolean(play->skip < 1), boolean(play->skip < 2), boolean(play->skip < 3),
				boolean(play->skip == 3));
		fprintf(run->log, "%d,%d,%d,%d,%d,%d,%s,%d,%s,%s,%s,%s,%s\n",
				play->context_switch, play->pause == 0, play->pause > 0, play->pause == 2,
				play->seek_forward, play->seek_back, boolean(session->shuffle),
				session->hour, date, boolean(session->premium), play->context_type,
				play->reason_start, play->reason_end);
	}
}

/* The second half: what happened, the best answer, and how sure it can be. */
static void
predict(Run *run, const char *id, int length, const SlChance *chance, unsigned skipped)
{
	int given = sl_first_half(length);
	int future = length - given;
	unsigned outcome = skipped >> given;
	unsigned all = (1U << future) - 1;
	bool last_skipped = skipped >> (given - 1) & 1;
	unsigned last_state = last_skipped ? all : 0;
	SlMoodBelief belief;
	SlSkipForecast forecast;
	double expected;
	unsigned answer;

	sl_mood_start(&run->law, &belief);
	for (int i = 0; i < given; i++)
		sl_mood_observe(&run->law, &belief, &chance[i], skipped >> i & 1);
	sl_skip_forecast(&run->law, &belief, future, chance + given, &forecast);
	answer = sl_best_answer(&forecast, &expected);

	run->expected += expected;
	run->ideal += sl_answer_aa(future, outcome, answer);
	run->likely += sl_answer_aa(future, outcome, sl_likely_answer(&forecast));
	run->last_state += sl_answer_aa(future, outcome, last_state);
	run->all_skip += sl_answer_aa(future, outcome, all);
	run->first_ideal += (outcome & 1) == (answer & 1);
	run->first_last_state += (outcome & 1) == last_skipped;
	run->first_all_skip += outcome & 1;
	for (int i = 0; run->truth && i < future; i++)
		fprintf(run->truth, "%s\t%d\t%s\t%s\t%.9f\t%.9f\n", id, given + i + 1,
				boolean(outcome >> i & 1), boolean(answer >> i & 1), forecast.skip[i],
				expected);
}

static void
write_session(Run *run, int64_t number, int day)
{
	SlSkipSession session = {.length = run->length};
	SlDraw lengths = session_draw(run, number, LENGTHS);
	SlDraw plays = session_draw(run, number, PLAYS);
	SlDraw skips = session_draw(run, number, SKIPS);
	SlDraw reactions = session_draw(run, number, REACTIONS);
	SlChance chance[SL_SESSION_MOST];
	char id[SL_ID_SIZE];
	SlUser user;
	int64_t who = 0;

	sl_session_id(run->seed, number, id);
	if (run->length == 0)
		session.length = sl_draw_length(&lengths);
	if (run->users > 0)
	{
		SlDraw which = session_draw(run, number, USERS);
		SlDraw traits;

		who = (int64_t) (sl_draw_uniform(&which) * (double) run->users) + 1;
		traits = session_draw(run, who, USERS + 1);
		sl_draw_user(&traits, run->tracks, &user);
		if (run->members)
			fprintf(run->members, "%s\tuser_%06" PRId64 "\n", id, who);
	}
	sl_draw_session(&plays, run->tracks, who > 0 ? &user : NULL, &session);
	for (int i = 0; i < session.length; i++)
	{
		const Taste *taste = &run->taste[session.play[i].track];

		sl_skip_chance(&run->law, taste->feature, taste->appeal, &chance[i]);
	}

	unsigned skipped = draw_skips(&run->law, &skips, session.length, chance);

	run->plays += session.length;
	run->skips += __builtin_popcount(skipped);
	predict(run, id, session.length, chance, skipped);
	if (!run->log)
		return;
	sl_draw_reactions(&reactions, skipped, &session);
	print_session(run, id, day, &session);
}

static void
write_log(Run *run)
{
	int day = -1;

	for (int64_t number = 1; number <= run->sessions; number++)
	{
		int of_session = (int) ((number - 1) * run->days / run->sessions);

		while (run->folder && day < of_session)
			open_day(run, ++day);
		write_session(run, number, of_session);
	}
	while (run->folder && day < run->days - 1)
		open_day(run, ++day);
	sl_close_output(run->log);
}

/* ---- options ---- */

static const char usage[] =
	"Writes an invented log of listening sessions with skips, in the files of the\n"
	"sequential skip prediction challenge.\n"
	"\n"
	"usage: skips [option]...\n"
	"  --sessions N      how many sessions (1000)\n"
	"  --length N        all of this length, 10 to 20; 0: the published mixture (0)\n"
	"  --tracks N        size of the catalogue, which depends on nothing else (2500)\n"
	"  --users N         listeners with favourites; 0: every session is its own (0)\n"
	"  --days N          days the log is split into (7)\n"
	"  --start DATE      the first of them (2018-07-15)\n"
	"  --seed S          another log (1)\n"
	"  --appeal SD       effect of the track itself on the logit of a skip, normal with\n"
	"                    this deviation, beside that of its features (0)\n"
	"  --folder DIR      log_0_YYYYMMDD_000000000000.csv, tf_000000000000.csv, ...\n"
	"  --truth FILE      session_id, session_position, skipped, ideal, probability,\n"
	"                    expected_aa: the second half, the answer with the highest expected\n"
	"                    average accuracy given the first half's skips and all tracks, the\n"
	"                    probability of a skip, and that expectation\n"
	"  --playlists FILE  track_id, playlist, place: what is played together\n"
	"  --members FILE    session_id, user_id\n"
	"  --help\n"
	"FILE - is the standard output; a file not asked for is not written.\n";

static int
length_option(const char *text)
{
	int length = (int) sl_number_option("length", text, 0, SL_SESSION_MOST);

	if (length > 0 && length < SL_SESSION_LEAST)
	{
		fprintf(stderr, "skips: --length: neither 0 nor from %d to %d: \"%s\"\n",
				SL_SESSION_LEAST, SL_SESSION_MOST, text);
		exit(2);
	}
	return length;
}

static void
read_options(Run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{"sessions", required_argument, NULL, 'n'},
		{"length", required_argument, NULL, 'l'},
		{"tracks", required_argument, NULL, 'k'},
		{"users", required_argument, NULL, 'u'},
		{"days", required_argument, NULL, 'y'},
		{"start", required_argument, NULL, 'd'},
		{"seed", required_argument, NULL, 's'},
		{"appeal", required_argument, NULL, 'a'},
		{"folder", required_argument, NULL, 'f'},
		{"truth", required_argument, NULL, 't'},
		{"playlists", required_argument, NULL, 'p'},
		{"members", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int choice;

	while ((choice = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (choice)
		{
			case 'n':
				run->sessions = (int64_t) sl_number_option("sessions", optarg, 1, 1e10);
				break;
			case 'l':
				run->length = length_option(optarg);
				break;
			case 'k':
				run->tracks = (int) sl_number_option("tracks", optarg, 2, 1e8);
				break;
			case 'u':
				run->users = (int64_t) sl_number_option("users", optarg, 0, 1e9);
				break;
			case 'y':
				run->days = (int) sl_number_option("days", optarg, 1, 36500);
				break;
			case 'd':
				run->start = sl_date_option(optarg);
				break;
			case 's':
				run->seed = (uint64_t) sl_number_option("seed", optarg, 0, 0x1p53);
				break;
			case 'a':
				run->appeal = sl_number_option("appeal", optarg, 0, 10);
				break;
			case 'f':
				run->folder = optarg;
				break;
			case 't':
				run->truth = sl_open_output(optarg);
				break;
			case 'p':
				run->playlists = sl_open_output(optarg);
				break;
			case 'm':
				run->members = sl_open_output(optarg);
				break;
			case 'h':
				fputs(usage, stdout);
				exit(0);
			default:
				fputs(usage, stderr);
				exit(2);
		}
	if (optind < argc)
	{
		fprintf(stderr, "skips: unexpected argument \"%s\"\n", argv[optind]);
		exit(2);
	}
}

static void
print_summary(const Run *run)
{
	double n = (double) run->sessions;

	fprintf(stderr,
			"skips: %" PRId64 " sessions, %" PRId64 " plays, %.1f %% skipped\n"
			"MAA (first position): ideal %.4f (%.4f), expected %.4f; likelier outcomes "
			"%.4f; last skip state %.4f (%.4f); all skip %.4f (%.4f)\n",
			run->sessions, run->plays, 100.0 * (double) run->skips / (double) run->plays,
			run->ideal / n, run->first_ideal / n, run->expected / n, run->likely / n,
			run->last_state / n, run->first_last_state / n, run->all_skip / n,
			run->first_all_skip / n);
}

int
main(int argc, char **argv)
{
	Run run = {.sessions = 1000, .tracks = 2500, .days = 7, .seed = 1};

	run.start = sl_date_option("2018-07-15");
	read_options(&run, argc, argv);
	sl_skip_law_default(&run.law);
	make_catalogue(&run);
	write_log(&run);
	sl_close_output(run.truth);
	sl_close_output(run.playlists);
	sl_close_output(run.members);
	free(run.taste);
	print_summary(&run);
	return 0;
}
