/*
 * fetch.c: the requests of track_info.
 *
 * A track in hand has a slot, from its first request until its row is written: either
 * its request is under way or it waits for the time of the next one.  One loop starts
 * what is due as the limits allow, waits for the network or the clock, and deals with
 * what has come back.  Requests start at least 1/rate seconds apart, retries too.
 *
 * Something wrong with one request delays its own track only: the delay doubles with
 * every try and is spread at random, so that tracks that failed together don't come
 * back together.  Where the service says that it is overloaded, all requests wait.  A
 * time the service asks for is kept in both cases.
 */
#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "track_info.h"

#define MAX_BODY ((size_t) 4 * 1024 * 1024) /* answers have a few thousand bytes */
#define MAX_DELAY 60.0						/* seconds between tries */
#define MAX_ASKED_DELAY 3600				/* the same, where the service sets it */
#define COMMIT_SECONDS 5.0
#define SLOTS_PER_REQUEST 8 /* tracks in hand; most of them wait to be tried again */

typedef struct
{
	bool used;
	bool active; /* request under way, or else to be started when due */
	double due;
	Track track;
	int tries;
	CURL *easy;
	char *body;
	size_t size;
	size_t room;
} Slot;

typedef struct
{
	const Options *options;
	CURLM *multi;
	char *address; /* all of it but the names */
	Slot *slots;
	int num_slots;
	int num_used;
	int num_active;
	bool list_ended;
	bool stopped;
	double next_request; /* not before */
	double paused_until;
	int pauses; /* since the last good answer */
	int failures;
	double last_commit;
	long found, not_found, failed, requests;
} Fetch;

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static size_t
receive(char *data, size_t unit, size_t count, void *arg)
{
	Slot *slot = arg;
	size_t size = unit * count;

	if (size > MAX_BODY - slot->size)
		return 0; /* ends the request with CURLE_WRITE_ERROR */
	if (slot->size + size > slot->room)
	{
		slot->room = 2 * (slot->size + size);
		slot->body = allocated(realloc(slot->body, slot->room));
	}
	memcpy(slot->body + slot->size, data, size);
	slot->size += size;
	return size;
}

/* address?a=...: the key is part of it, so it is never shown. */
static char *
base_address(const Options *options)
{
	static const char format[] =
		"%s%cmethod=track.getInfo&format=json&autocorrect=1&api_key=%s";
	char *key = allocated(curl_easy_escape(NULL, options->key, 0));
	size_t size = sizeof(format) + strlen(options->url) + strlen(key);
	char *address = allocated(malloc(size));

	snprintf(address, size, format, options->url, strchr(options->url, '?') ? '&' : '?',
			 key);
	curl_free(key);
	return address;
}

static void
set_address(Fetch *f, Slot *slot)
{
	static const char format[] = "%s&artist=%s&track=%s";
	char *artist = allocated(curl_easy_escape(NULL, slot->track.artist, 0));
	char *track = allocated(curl_easy_escape(NULL, slot->track.track, 0));
	size_t size = sizeof(format) + strlen(f->address) + strlen(artist) + strlen(track);
	char *address = allocated(malloc(size));

	snprintf(address, size, format, f->address, artist, track);
	if (curl_easy_setopt(slot->easy, CURLOPT_URL, address) != CURLE_OK)
		fail("out of memory");
	free(address);
	curl_free(artist);
	curl_free(track);
}

static void
make_easy(Fetch *f, Slot *slot)
{
	slot->easy = allocated(curl_easy_init());
	curl_easy_setopt(slot->easy, CURLOPT_PRIVATE, slot);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(slot->easy, CURLOPT_WRITEDATA, slot);
	curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS,
					 (long) ceil(f->options->timeout * 1000));
	curl_easy_setopt(slot->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(slot->easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(slot->easy, CURLOPT_USERAGENT, "sessionlen-track_info/" SL_VERSION);
}

static void
start_request(Fetch *f, Slot *slot, double now)
{
	if (slot->easy == NULL)
		make_easy(f, slot);
	set_address(f, slot);
	slot->size = 0;
	if (curl_multi_add_handle(f->multi, slot->easy) != CURLM_OK)
		fail("the request could not be started");
	slot->active = true;
	slot->tries++;
	f->num_active++;
	f->requests++;
	f->next_request = now + 1 / f->options->rate;
}

static void
release(Fetch *f, Slot *slot)
{
	free_track(&slot->track);
	slot->used = false;
	slot->tries = 0;
	f->num_used--;
}

/* The waiting slot that is due first, or NULL. */
static Slot *
first_due(Fetch *f)
{
	Slot *first = NULL;

	for (int i = 0; i < f->num_slots; i++)
	{
		Slot *s = &f->slots[i];

		if (s->used && !s->active && (first == NULL || s->due < first->due))
			first = s;
	}
	return first;
}

/* A slot with the next track of the list, or NULL. */
static Slot *
new_track(Fetch *f, double now)
{
	Slot *slot = f->slots;

	if (f->list_ended || f->num_used == f->num_slots)
		return NULL;
	while (slot->used)
		slot++;
	if (!store_next_track(&slot->track))
	{
		f->list_ended = true;
		return NULL;
	}
	slot->used = true;
	slot->due = now;
	f->num_used++;
	return slot;
}

/* Starts what is due; returns the seconds until there may be more to start. */
static double
start_requests(Fetch *f)
{
	while (f->num_active < f->options->parallel)
	{
		double now = seconds();
		double allowed = fmax(f->next_request, f->paused_until);
		Slot *slot;

		if (allowed > now)
			return allowed - now;
		slot = first_due(f);
		if (slot == NULL || slot->due > now)
		{
			Slot *new = new_track(f, now);

			if (new == NULL)
				return slot == NULL ? COMMIT_SECONDS : slot->due - now;
			slot = new;
		}
		start_request(f, slot, now);
	}
	return COMMIT_SECONDS;
}

static double
delay_after(const Fetch *f, int tries)
{
	double delay = f->options->backoff * pow(2, fmin(tries - 1, 30));

	return fmin(delay, MAX_DELAY) * (0.5 + 0.5 * drand48());
}

static void
stop(Fetch *f, const char *why)
{
	if (!f->stopped)
		say("error: stopped: %s", why);
	f->stopped = true;
}

static void
try_again_or_give_up(Fetch *f, Slot *slot, const char *reason, double asked_delay)
{
	if (slot->tries < f->options->tries)
	{
		slot->due = seconds() + fmax(delay_after(f, slot->tries), asked_delay);
		return;
	}
	store_failure(&slot->track, slot->tries, reason);
	release(f, slot);
	f->failed++;
	f->failures++;
	if (f->options->give_up > 0 && f->failures >= f->options->give_up)
	{
		char why[REASON_SIZE + 100];

		snprintf(why, sizeof(why), "%d tracks failed in a row, the last one with: %s",
				 f->failures, reason);
		stop(f, why);
	}
}

static void
pause_all(Fetch *f, double asked_delay)
{
	double now = seconds();

	/* requests that were under way together are told the same together */
	if (now >= f->paused_until)
		f->pauses++;
	f->paused_until =
		fmax(f->paused_until, now + fmax(delay_after(f, f->pauses), asked_delay));
}

/* What became of a request; the reason is the answer's or the network's. */
static Verdict
judge(Slot *slot, CURLcode code, char reason[REASON_SIZE])
{
	long status = 0;

	curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK)
		return store_answer(&slot->track, status, slot->body ? slot->body : "",
							slot->size, slot->tries, reason);
	if (code == CURLE_OUT_OF_MEMORY)
		fail("out of memory");
	snprintf(reason, REASON_SIZE, "%s",
			 code == CURLE_WRITE_ERROR ? "answer too long" : curl_easy_strerror(code));
	return code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ||
				   code == CURLE_PEER_FAILED_VERIFICATION
			   ? STOP
			   : RETRY;
}

static void
good_answer(Fetch *f, Slot *slot, long *count)
{
	++*count;
	f->failures = 0;
	f->pauses = 0;
	release(f, slot);
	if ((f->found + f->not_found) % 1000 == 0)
		say("%ld found, %ld not found, %ld failed", f->found, f->not_found, f->failed);
}

static void
finish_request(Fetch *f, Slot *slot, CURLcode code)
{
	static const char *const names[] = {"found", "not found", "try again", "pause",
										"stop"};
	char reason[REASON_SIZE] = "";
	curl_off_t asked_delay = 0;
	Verdict verdict;

	curl_easy_getinfo(slot->easy, CURLINFO_RETRY_AFTER, &asked_delay);
	curl_multi_remove_handle(f->multi, slot->easy);
	slot->active = false;
	f->num_active--;
	verdict = judge(slot, code, reason);
	if (f->options->verbose)
		say("%s - %s, try %d: %s%s%s", slot->track.artist, slot->track.track, slot->tries,
			names[verdict], reason[0] ? ": " : "", reason);

	if (verdict == FOUND)
		good_answer(f, slot, &f->found);
	else if (verdict == NOT_FOUND)
		good_answer(f, slot, &f->not_found);
	else if (verdict == STOP)
		stop(f, reason);
	else if (asked_delay > MAX_ASKED_DELAY)
		stop(f, "the service asks to be left alone for more than an hour");
	else
	{
		if (verdict == PAUSE)
			pause_all(f, (double) asked_delay);
		try_again_or_give_up(f, slot, reason, (double) asked_delay);
	}
}

/* Waits for the network, a signal or the time to go on; deals with what came. */
static void
wait_for_answers(Fetch *f, double most)
{
	struct curl_waitfd wakeup = {.fd = wakeup_fd, .events = CURL_WAIT_POLLIN};
	double until_commit = fmax(f->last_commit + COMMIT_SECONDS - seconds(), 0);
	int milliseconds = (int) ceil(fmin(most, until_commit) * 1000);
	CURLMsg *message;
	int running, left;

	if (curl_multi_poll(f->multi, &wakeup, 1, milliseconds, NULL) != CURLM_OK ||
		curl_multi_perform(f->multi, &running) != CURLM_OK)
		fail("the network failed");
	while (!f->stopped && (message = curl_multi_info_read(f->multi, &left)) != NULL)
	{
		Slot *slot;

		if (message->msg != CURLMSG_DONE)
			continue;
		/* the message is gone with its handle */
		CURLcode code = message->data.result;

		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &slot);
		finish_request(f, slot, code);
	}
}

static void
commit_in_time(Fetch *f)
{
	double now = seconds();

	if (store_uncommitted() < f->options->batch && now < f->last_commit + COMMIT_SECONDS)
		return;
	store_commit();
	f->last_commit = now;
}

static void
clean_up(Fetch *f)
{
	for (int i = 0; i < f->num_slots; i++)
	{
		Slot *s = &f->slots[i];

		if (s->active)
			curl_multi_remove_handle(f->multi, s->easy);
		curl_easy_cleanup(s->easy);
		free_track(&s->track);
		free(s->body);
	}
	curl_multi_cleanup(f->multi);
	curl_global_cleanup();
	free(f->slots);
	free(f->address);
}

bool
fetch_all(const Options *options)
{
	Fetch f = {.options = options, .num_slots = options->parallel * SLOTS_PER_REQUEST};
	double begun = seconds();
	bool complete = false;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		fail("libcurl could not be initialised");
	f.multi = allocated(curl_multi_init());
	f.address = base_address(options);
	f.slots = allocated(calloc((size_t) f.num_slots, sizeof(Slot)));
	f.last_commit = begun;

	while (!interrupted && !f.stopped && !complete)
	{
		double most = start_requests(&f);

		complete = f.list_ended && f.num_used == 0;
		if (!complete)
			wait_for_answers(&f, most);
		commit_in_time(&f);
	}
	store_commit();
	say("%ld tracks found, %ld not found, %ld failed; %ld requests in %.0f s", f.found,
		f.not_found, f.failed, f.requests, seconds() - begun);
	clean_up(&f);
	return complete;
}
