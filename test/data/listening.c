/*
 * listening.c: writes an invented listening log with the statistics of last.fm-1K, beside
 * it the sessions it consists of and the best possible prediction of each length.
 *
 * The lengths follow the law of law.h, whose ideal predictor is exact; the rest (who,
 * when, what) is in listener.h.  Users are independent and written one after the other,
 * so memory does not grow with the log.  Sessions are what a gap of 30 minutes gives:
 * inside one no idle time reaches it, and every absence is longer.  The same options give
 * the same files; --unknown takes durations out and changes nothing else.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"
#include "listener.h"
#include "options.h"

/* Purposes of random streams, after those of listener.c. */
enum
{
	LENGTHS = 4,
	UNKNOWN,
	REGISTERED,
	CLUSTER
};

#define TEN_YEARS (3650.0 * 86400.0)

typedef struct Run
{
	int64_t users;
	int clusters;
	uint64_t seed;
	double mean_sessions;
	double unknown;
	int64_t start;
	FILE *plays;
	FILE *profiles;
	FILE *truth;
	FILE *members;
	FILE *original_plays;
	FILE *original_profiles;
	SlLaw law[SL_PLANTED_MAX];
	SlHabits habits[SL_PLANTED_MAX];
	int64_t session_count;
	int64_t play_count;
	double length_sum;
	double error_sum;
} Run;

static void
fail(const char *what, const char *detail)
{
	fprintf(stderr, "listening: %s: %s\n", what, detail);
	exit(1);
}

/* ---- output ---- */

/* A date of the proleptic Gregorian calendar from days since 1970 (not before 0000). */
static void
civil(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468; /* since 0000-03-01 */
	int64_t era = z / 146097;
	int64_t doe = z % 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int) (doy - (153 * mp + 2) / 5 + 1);
	*month = (int) (mp < 10 ? mp + 3 : mp - 9);
	*year = (int) (yoe + era * 400 + (*month <= 2));
}

static void
print_time(FILE *file, int64_t time)
{
	int year;
	int month;
	int day;
	int64_t ms = time % SL_DAY;

	civil(time / SL_DAY, &year, &month, &day);
	fprintf(file, "%04d-%02d-%02d %02d:%02d:%02d", year, month, day, (int) (ms / SL_HOUR),
			(int) (ms / 60000 % 60), (int) (ms / 1000 % 60));
	if (ms % 1000 != 0)
		fprintf(file, ".%03d", (int) (ms % 1000));
	fputs("+00", file);
}

static void
print_seconds(FILE *file, int64_t ms)
{
	fprintf(file, "%" PRId64 ".%03d", ms / 1000, (int) (ms % 1000));
}

/* The original files have whole seconds, "2009-05-04T23:08:57Z". */
static void
print_original_play(Run *run, int64_t user, int64_t start, const SlPlay *play,
					const char *artist, const char *track)
{
	int64_t time = start + play->at;
	int64_t ms = time % SL_DAY;
	int year;
	int month;
	int day;

	civil(time / SL_DAY, &year, &month, &day);
	fprintf(run->original_plays,
			"user_%06" PRId64 "\t%04d-%02d-%02dT%02d:%02d:%02dZ"
			"\t%08x-0000-4000-8000-000000000000\t%s\t%08x-0000-4000-8000-%012x\t%s\n",
			user, year, month, day, (int) (ms / SL_HOUR), (int) (ms / 60000 % 60),
			(int) (ms / 1000 % 60), play->artist, artist, play->artist, play->track + 1,
			track);
}

/* "Aug 13, 2006"; what is unknown is empty. */
static void
print_original_profile(Run *run, int64_t user, const SlProfile *profile,
					   int64_t registered)
{
	static const char *const gender[SL_GENDERS] = {"f", "m", ""};
	static const char month_name[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const char *country = sl_country_name(profile->country);
	int year;
	int month;
	int day;

	fprintf(run->original_profiles, "user_%06" PRId64 "\t%s\t", user,
			gender[profile->gender]);
	if (profile->age != SL_AGE_UNKNOWN)
		fprintf(run->original_profiles, "%d", profile->age);
	civil(registered, &year, &month, &day);
	fprintf(run->original_profiles, "\t%s\t%.3s %d, %04d\n", country ? country : "",
			month_name + 3 * (month - 1), day, year);
}

static void
print_profile(Run *run, int64_t user, const SlProfile *profile, int64_t first)
{
	static const char *const gender[SL_GENDERS] = {"f", "m", "\\N"};
	SlDraw draw = sl_listener_draw(run->seed, user, REGISTERED);
	int64_t registered = first / SL_DAY - sl_draw_below(&draw, 800);
	const char *country = sl_country_name(profile->country);
	int year;
	int month;
	int day;

	if (run->original_profiles)
		print_original_profile(run, user, profile, registered);
	if (!run->profiles)
		return;
	fprintf(run->profiles, "user_%06" PRId64 "\t%s\t", user, gender[profile->gender]);
	if (profile->age == SL_AGE_UNKNOWN)
		fputs("\\N", run->profiles);
	else
		fprintf(run->profiles, "%d", profile->age);
	civil(registered, &year, &month, &day);
	fprintf(run->profiles, "\t%s\t%04d-%02d-%02d\n", country ? country : "\\N", year,
			month, day);
}

static void
print_truth(Run *run, int64_t user, int64_t number, int64_t start, int64_t length,
			const SlForecast *forecast)
{
	double seconds = (double) length / 1000.0;
	double ideal = exp(forecast->location);

	run->length_sum += seconds;
	run->error_sum += fabs(seconds - ideal);
	if (!run->truth)
		return;
	fprintf(run->truth, "user_%06" PRId64 "\t%" PRId64 "\t", user, number);
	print_time(run->truth, start);
	fputc('\t', run->truth);
	print_seconds(run->truth, length);
	fprintf(run->truth, "\t%.6f\t%.6f\t%.6f\n", ideal,
			exp(sl_forecast_quantile(forecast, 0.1)),
			exp(sl_forecast_quantile(forecast, 0.9)));
}

static void
print_play(Run *run, int64_t user, int64_t start, const SlPlay *play, bool known)
{
	char artist[SL_NAME_SIZE];
	char track[SL_NAME_SIZE];

	sl_artist_name(play->artist, artist);
	sl_track_name(play->artist, play->track, track);
	if (run->original_plays)
		print_original_play(run, user, start, play, artist, track);
	if (!run->plays)
		return;
	fprintf(run->plays, "user_%06" PRId64 "\t", user);
	print_time(run->plays, start + play->at);
	fprintf(run->plays, "\t%s\t%s\t", artist, track);
	if (known)
		print_seconds(run->plays, play->duration);
	else
		fputs("\\N", run->plays);
	fputc('\n', run->plays);
}

/* ---- one user ---- */

static void
write_session(Run *run, int64_t user, SlListener *listener, SlDraw *unknown,
			  int64_t start, int64_t length)
{
	SlPlay play;

	run->session_count++;
	if (!run->plays && !run->original_plays)
		return;
	for (sl_first_play(listener, length, &play);; sl_next_play(listener, length, &play))
	{
		bool withheld = sl_draw_uniform(unknown) < run->unknown;

		print_play(run, user, start, &play, play.last || !withheld);
		run->play_count++;
		if (play.last)
			return;
	}
}

/* The rounded length: at least a millisecond, as a length of 0 would be no play. */
static int64_t
length_of(double y)
{
	double seconds = exp(y);
	int64_t length;

	if (seconds > TEN_YEARS)
		fail("a session came out longer than ten years", "take another seed");
	length = (int64_t) llround(seconds * 1000.0);
	return length > 0 ? length : 1;
}

/* A law and habits for every cluster; without clusters, the default ones. */
static void
make_laws(Run *run)
{
	sl_law_default(&run->law[0]);
	sl_habits_default(&run->habits[0]);
	for (int i = 0; run->clusters > 1 && i < run->clusters; i++)
	{
		sl_law_planted(&run->law[i], i);
		sl_habits_planted(&run->habits[i], i);
	}
}

static void
write_user(Run *run, int64_t user)
{
	SlDraw member = sl_listener_draw(run->seed, user, CLUSTER);
	int cluster = sl_draw_below(&member, run->clusters);
	const SlLaw *law = &run->law[cluster];
	SlListener listener;
	SlBelief belief;
	SlDraw lengths = sl_listener_draw(run->seed, user, LENGTHS);
	SlDraw unknown = sl_listener_draw(run->seed, user, UNKNOWN);
	int64_t end = 0;

	if (run->members)
		fprintf(run->members, "user_%06" PRId64 "\t%d\n", user, cluster);
	sl_listener_init(&listener, &run->habits[cluster], run->seed, user,
					 run->mean_sessions);
	sl_law_prior(law, &listener.profile, &belief);

	double sigma = sqrt(belief.scale / sl_draw_gamma(&lengths, belief.shape));
	double mu = belief.mean + sigma / sqrt(belief.weight) * sl_draw_normal(&lengths);

	for (int64_t number = 1; number <= listener.sessions; number++)
	{
		bool first = number == 1;
		int64_t start =
			first ? sl_first_visit(&listener, run->start) : sl_next_visit(&listener, end);
		double absence = first ? -1.0 : (double) (start - end) / 1000.0;
		double known = sl_law_known(law, sl_weekday(start), sl_hour(start), absence);
		SlForecast forecast = sl_law_forecast(law, &belief, known);
		double e = sl_draw_normal(&lengths);
		int64_t length = length_of(sl_law_y(law, &belief, known, mu, sigma, e));

		if (first)
			print_profile(run, user, &listener.profile, start);
		print_truth(run, user, number, start, length, &forecast);
		write_session(run, user, &listener, &unknown, start, length);
		sl_law_observe(law, &belief, known, log((double) length / 1000.0));
		end = start + length;
	}
}

/* ---- options ---- */

static const char usage[] =
	"Writes an invented listening log: tab-separated files for COPY.\n"
	"\n"
	"usage: listening [option]...\n"
	"  --users N        how many users (100)\n"
	"  --sessions MEAN  mean sessions a user, heavy-tailed from 8 up (60)\n"
	"  --seed S         another log (1)\n"
	"  --clusters K     users of this many planted clusters with different laws and\n"
	"                   habits, and at least 20 sessions; at most 8 (1)\n"
	"  --start DATE     first day, users begin within a year of it (2005-02-14)\n"
	"  --unknown P      withhold this fraction of durations, never the last of a session (0)\n"
	"  --plays FILE     user_id, ts, artist_name, track_name, duration (seconds)\n"
	"  --profiles FILE  user_id, gender (m, f), age, country, registered; \\N is unknown\n"
	"  --truth FILE     user_id, session_number, session_start, session_length, ideal,\n"
	"                   ideal_low, ideal_high: the best prediction from the rows before,\n"
	"                   and the 10 % and 90 % quantiles it was made from; with several\n"
	"                   clusters it knows the user's cluster: a lower bound\n"
	"  --original DIR   plays and profiles as the two files of last.fm-1K, without\n"
	"                   durations, in this folder\n"
	"  --members FILE   user_id, cluster: the planted cluster, from 0\n"
	"  --help\n"
	"Times are UTC; FILE - is the standard output; a file not asked for is not written.\n";

static FILE *
original_file(const char *folder, const char *name)
{
	char path[4096];

	if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int) sizeof path)
		fail("--original: the path is too long", folder);
	return sl_open_output(path);
}

static void
original_option(Run *run, const char *folder)
{
	run->original_plays =
		original_file(folder, "userid-timestamp-artid-artname-traid-traname.tsv");
	run->original_profiles = original_file(folder, "userid-profile.tsv");
	fputs("#id\tgender\tage\tcountry\tregistered\n", run->original_profiles);
}

static void
read_options(Run *run, int argc, char **argv)
{
	static const struct option options[] = {
		{"users", required_argument, NULL, 'u'},
		{"sessions", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'},
		{"start", required_argument, NULL, 'd'},
		{"unknown", required_argument, NULL, 'x'},
		{"plays", required_argument, NULL, 'p'},
		{"profiles", required_argument, NULL, 'f'},
		{"truth", required_argument, NULL, 't'},
		{"clusters", required_argument, NULL, 'c'},
		{"members", required_argument, NULL, 'm'},
		{"original", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int choice;

	while ((choice = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (choice)
		{
			case 'u':
				run->users = (int64_t) sl_number_option("users", optarg, 1, 1e9);
				break;
			case 'n':
				run->mean_sessions = sl_number_option("sessions", optarg, 1, 1e6);
				break;
			case 's':
				run->seed = (uint64_t) sl_number_option("seed", optarg, 0, 0x1p53);
				break;
			case 'd':
				run->start = sl_date_option(optarg) * SL_SECOND;
				break;
			case 'x':
				run->unknown = sl_number_option("unknown", optarg, 0, 1);
				break;
			case 'p':
				run->plays = sl_open_output(optarg);
				break;
			case 'f':
				run->profiles = sl_open_output(optarg);
				break;
			case 't':
				run->truth = sl_open_output(optarg);
				break;
			case 'c':
				run->clusters =
					(int) sl_number_option("clusters", optarg, 1, SL_PLANTED_MAX);
				break;
			case 'm':
				run->members = sl_open_output(optarg);
				break;
			case 'o':
				original_option(run, optarg);
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
		fprintf(stderr, "listening: unexpected argument \"%s\"\n", argv[optind]);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	Run run = {.users = 100, .clusters = 1, .seed = 1, .mean_sessions = 60};

	run.start = sl_date_option("2005-02-14") * SL_SECOND;
	read_options(&run, argc, argv);
	make_laws(&run);
	for (int64_t user = 1; user <= run.users; user++)
		write_user(&run, user);
	sl_close_output(run.plays);
	sl_close_output(run.profiles);
	sl_close_output(run.truth);
	sl_close_output(run.members);
	sl_close_output(run.original_plays);
	sl_close_output(run.original_profiles);
	fprintf(stderr,
			"listening: %" PRId64 " users, %" PRId64 " sessions of %.0f s on average",
			run.users, run.session_count, run.length_sum / (double) run.session_count);
	if (run.play_count > 0) /* only counted when written */
		fprintf(stderr, ", %" PRId64 " plays", run.play_count);
	fprintf(stderr, "; ideal MAE %.1f s\n", run.error_sum / (double) run.session_count);
	return 0;
}
