/* main.c: options, signals and messages of track_info. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "track_info.h"

volatile sig_atomic_t interrupted = 0;
int wakeup_fd = -1;

static int wakeup_write_fd = -1;

static const char usage[] =
	"track_info asks the Last.fm web API for durations and tags of tracks.\n"
	"\n"
	"  LASTFM_API_KEY=key track_info [option ...]\n"
	"\n"
	"It fills the table track_metadata (see doc/examples/track_metadata.sql) for all\n"
	"tracks of the view or table unique_tracks that are not in it, most played first.\n"
	"It may be interrupted at any time and started again.\n"
	"\n"
	"  -d, --dbname=CONNINFO  the database; default: as PGDATABASE etc. say\n"
	"  -q, --query=QUERY      the tracks: artist name, track name, number of plays;\n"
	"                         default: SELECT artist_name, track_name, plays\n"
	"                         FROM unique_tracks WHERE plays > 0\n"
	"  -n, --limit=N          ask for N tracks at most; default: all\n"
	"  -p, --parallel=N       requests at a time, 1 to 64; default: 4\n"
	"  -r, --rate=R           requests a second at most; default: 4\n"
	"  -t, --timeout=SECONDS  for a request; default: 20\n"
	"      --tries=N          requests for a track that go wrong before it is recorded\n"
	"                         as failed; default: 5\n"
	"      --backoff=SECONDS  before a track's second request, doubled each time, up to\n"
	"                         a minute; default: 1\n"
	"      --again=HOURS      ask again for tracks that failed so long ago; default: 24\n"
	"      --give-up=N        stop after N failed tracks in a row; 0: never; default: 20\n"
	"      --batch=N          answers in a transaction, which also ends after five\n"
	"                         seconds; default: 50\n"
	"      --url=URL          of the API; default: https://ws.audioscrobbler.com/2.0/\n"
	"  -v, --verbose          say what becomes of every request\n"
	"      --help\n"
	"\n"
	"Exit status: 0 if nothing is left to ask for, 1 after an error, 2 for wrong\n"
	"options, 130 after an interruption.\n";

void
say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("track_info: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

void
fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("track_info: error: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void *
allocated(void *pointer)
{
	if (pointer == NULL)
		fail("out of memory");
	return pointer;
}

static void
wrong_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("track_info: ", stderr);
	vfprintf(stderr, format, args);
	fputs("; see --help\n", stderr);
	va_end(args);
	exit(2);
}

static double
number(const char *name, const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= least && value <= most))
		wrong_usage("--%s must be a number from %g to %.15g, not \"%s\"", name, least,
					most, text);
	return value;
}

static long
integer(const char *name, const char *text, long least, long most)
{
	double value = number(name, text, (double) least, (double) most);

	if (value != floor(value))
		wrong_usage("--%s must be a whole number, not \"%s\"", name, text);
	return (long) value;
}

static Options
read_options(int argc, char **argv)
{
	enum
	{
		TRIES = 256,
		BACKOFF,
		AGAIN,
		GIVE_UP,
		BATCH,
		URL,
		HELP
	};
	static const struct option names[] = {{"dbname", required_argument, NULL, 'd'},
										  {"query", required_argument, NULL, 'q'},
										  {"limit", required_argument, NULL, 'n'},
										  {"parallel", required_argument, NULL, 'p'},
										  {"rate", required_argument, NULL, 'r'},
										  {"timeout", required_argument, NULL, 't'},
										  {"tries", required_argument, NULL, TRIES},
										  {"backoff", required_argument, NULL, BACKOFF},
										  {"again", required_argument, NULL, AGAIN},
										  {"give-up", required_argument, NULL, GIVE_UP},
										  {"batch", required_argument, NULL, BATCH},
										  {"url", required_argument, NULL, URL},
										  {"verbose", no_argument, NULL, 'v'},
										  {"help", no_argument, NULL, HELP},
										  {NULL, 0, NULL, 0}};
	Options o = {.conninfo = "",
				 .query = "SELECT artist_name, track_name, plays FROM unique_tracks "
						  "WHERE plays > 0",
				 .url = "https://ws.audioscrobbler.com/2.0/",
				 .key = getenv("LASTFM_API_KEY"),
				 .parallel = 4,
				 .rate = 4,
				 .timeout = 20,
				 .tries = 5,
				 .backoff = 1,
				 .again = 24,
				 .give_up = 20,
				 .batch = 50};
	int c;

	while ((c = getopt_long(argc, argv, "d:q:n:p:r:t:v", names, NULL)) != -1)
	{
		switch (c)
		{
			case 'd':
				o.conninfo = optarg;
				break;
			case 'q':
				o.query = optarg;
				break;
			case 'n':
				o.limit = integer("limit", optarg, 1, 1000000000);
				break;
			case 'p':
				o.parallel = (int) integer("parallel", optarg, 1, 64);
				break;
			case 'r':
				o.rate = number("rate", optarg, 0.001, 10000);
				break;
			case 't':
				o.timeout = number("timeout", optarg, 0.01, 3600);
				break;
			case TRIES:
				o.tries = (int) integer("tries", optarg, 1, 100);
				break;
			case BACKOFF:
				o.backoff = number("backoff", optarg, 0.001, 60);
				break;
			case AGAIN:
				o.again = number("again", optarg, 0, 1000000);
				break;
			case GIVE_UP:
				o.give_up = (int) integer("give-up", optarg, 0, 1000000);
				break;
			case BATCH:
				o.batch = (int) integer("batch", optarg, 1, 10000);
				break;
			case URL:
				o.url = optarg;
				break;
			case 'v':
				o.verbose = true;
				break;
			case HELP:
				fputs(usage, stdout);
				exit(0);
			default:
				fputs("track_info: see --help\n", stderr);
				exit(2);
		}
	}
	if (optind < argc)
		wrong_usage("unexpected argument \"%s\"", argv[optind]);
	if (strncmp(o.url, "https://", 8) != 0 && strncmp(o.url, "http://", 7) != 0)
		wrong_usage("--url must begin with https:// or http://");
	if (o.key == NULL || o.key[0] == '\0')
		wrong_usage("the environment variable LASTFM_API_KEY is not set; "
					"keys are given at https://www.last.fm/api/account/create");
	return o;
}

static void
interrupt(int signal)
{
	int saved = errno;

	(void) signal;
	interrupted = 1;
	/* a full pipe is as good as one more byte */
	if (write(wakeup_write_fd, "", 1) < 0)
		errno = saved;
	errno = saved;
}

/* The first signal ends the run in an orderly way, a second one at once. */
static void
catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESETHAND};
	int fds[2];

	if (pipe(fds) < 0)
		fail("no pipe: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
	{
		if (fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0 ||
			fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
			fail("fcntl: %s", strerror(errno));
	}
	wakeup_fd = fds[0];
	wakeup_write_fd = fds[1];
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* A second run at the same time would ask for the same tracks; it waits. */
static void
wait_for_lock(void)
{
	static const struct timespec pause = {0, 200000000};

	if (store_lock())
		return;
	say("another run is at work; waiting for it to end");
	while (!interrupted)
	{
		nanosleep(&pause, NULL);
		if (store_lock())
			return;
	}
}

int
main(int argc, char **argv)
{
	Options options = read_options(argc, argv);
	bool complete = false;

	setvbuf(stderr, NULL, _IOLBF, 0);
	srand48((long) time(NULL) ^ ((long) getpid() << 16));
	catch_signals();
	store_open(&options);
	wait_for_lock();
	if (!interrupted)
	{
		store_list_tracks(&options);
		complete = fetch_all(&options);
	}
	store_close();
	if (interrupted)
	{
		say("interrupted; the next run goes on from here");
		return 130;
	}
	return complete ? 0 : 1;
}
