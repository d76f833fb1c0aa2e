/*
 * test_optim.c: ten steps of every optimiser against torch.optim, clipping against its
 * definition, schedules at their ends, and the processor's mode left as it was.
 */
#include "nn/optim.h"

#include <float.h>

#include "fixture.h"
#include "tap.h"

#define N 19

static void
test_names(void)
{
	static const char *const name[] = {"adam",	  "adamw", "nadam", "rmsprop",
									   "adagrad", "sgd",   NULL};
	static const char *const schedule[] = {"constant",	  "linear", "cosine",
										   "exponential", "step",	NULL};
	static const int moments[] = {2, 2, 2, 1, 1, 0};
	static const float rate[] = {1e-3f, 1e-3f, 2e-3f, 1e-2f, 1e-2f, 1e-2f};

	for (int kind = 0; kind < 7; kind++)
		is_str(sl_optim_name(kind), name[kind], "optimiser %d", kind);
	for (int kind = 0; kind < 6; kind++)
	{
		is_str(sl_schedule_name(kind), schedule[kind], "schedule %d", kind);
		is_int(sl_optim_moments(kind), moments[kind], "%s: moments", name[kind]);
		is_close(sl_optim_default_rate(kind), rate[kind], 0, "%s: rate", name[kind]);
	}
	ok(sl_optim_name(-1) == NULL && sl_schedule_name(-1) == NULL,
	   "no name before the first");
}

static void
test_parity(void)
{
	Fixture fixture = fixture_read("optim.txt");
	const float *start = fixture_get(&fixture, "start", NULL);
	const float *grads = fixture_get(&fixture, "grads", NULL);

	for (int kind = 0; sl_optim_name(kind); kind++)
		for (int variant = 0; variant < 4; variant++)
		{
			bool decay = variant & 1, clip = variant & 2;
			float value[N], grad[N], moments[2 * N] = {0};
			float rate = sl_optim_default_rate(kind);
			double mu_product = 1;

			memcpy(value, start, sizeof(value));
			for (int t = 1; t <= 10; t++)
			{
				memcpy(grad, grads + (t - 1) * N, sizeof(grad));
				if (clip)
					sl_clip_norm(grad, N, 1);
				sl_optim_step(kind, t, rate, decay ? 0.01f : 0, &mu_product, N, value,
							  grad, moments);
				if (t > 1 && t < 10)
					continue;

				char name[64];

				snprintf(name, sizeof(name), "%s.decay%d.clip%d.step%d",
						 sl_optim_name(kind), decay, clip, t);
				const float *want = fixture_get(&fixture, name, NULL);
				double worst = 0;

				is_close(tap_max_difference(value, want, N), 0, 1e-2 * rate,
						 "%s: PyTorch's weights", name);
				for (int i = 0; i < N; i++)
					worst = fmax(worst, fabs(value[i] - want[i]) /
											(5e-5 * rate + 6e-7 * fabs(want[i])));
				is_close(worst, 0, 1, "%s: and each of them closely", name);
			}
		}
	fixture_free(&fixture);
}

/* All lengths around the width of a vector give what one weight at a time gives, and
 * nothing is written past the end. */
static void
test_lengths(void)
{
	for (int kind = 0; sl_optim_name(kind); kind++)
	{
		bool same = true, inside = true;

		for (int n = 0; n < 40; n++)
		{
			float value[41], grad[41], moments[82] = {0},
									   rate = sl_optim_default_rate(kind);
			double product = 1;

			for (int i = 0; i <= n; i++)
			{
				value[i] = (float) sin(i + 1);
				grad[i] = (float) cos(3 * i + n);
			}
			moments[sl_optim_moments(kind) * n] = 77;
			sl_optim_step(kind, 1, rate, 0.1f, &product, n, value, grad, moments);
			inside &= value[n] == (float) sin(n + 1) &&
					  moments[sl_optim_moments(kind) * n] == 77;
			for (int i = 0; i < n; i++)
			{
				float one = (float) sin(i + 1), moment[2] = {0};

				product = 1;
				sl_optim_step(kind, 1, rate, 0.1f, &product, 1, &one, grad + i, moment);
				same &= fabsf(one - value[i]) <= 1e-6f;
				if (sl_optim_moments(kind) > 0)
					same &= fabsf(moment[0] - moments[i]) <= 1e-6f;
				if (sl_optim_moments(kind) > 1)
					same &= fabsf(moment[1] - moments[n + i]) <= 1e-6f;
			}
		}
		ok(same, "%s: any number of weights", sl_optim_name(kind));
		ok(inside, "%s: and no more", sl_optim_name(kind));
	}
}

/* The same steps end in the same bits. */
static void
test_bits(void)
{
	float value[2][N], moments[2][2 * N] = {{0}};

	for (int run = 0; run < 2; run++)
	{
		double product = 1;

		for (int i = 0; i < N; i++)
			value[run][i] = (float) i / 7;
		for (int t = 1; t <= 50; t++)
		{
			float grad[N];

			for (int i = 0; i < N; i++)
				grad[i] = sinf((float) (i * t));
			sl_clip_norm(grad, N, 0.5f);
			sl_optim_step(SL_OPTIM_NADAM, t, 0.01f, 0, &product, N, value[run], grad,
						  moments[run]);
		}
	}
	ok(memcmp(value[0], value[1], sizeof(value[0])) == 0, "the same bits again");
}

/* Moments that no gradient feeds end at 0 rather than among the denormals. */
static void
test_denormals(void)
{
	volatile float tiny = FLT_MIN, half = 0.5f; /* computed where they stand */
	float value = 1, grad = 0, moments[2] = {1e-44f, 1e-44f};

	sl_optim_step(SL_OPTIM_ADAM, 2, 1e-3f, 0, NULL, 1, &value, &grad, moments);
	ok(tiny * half != 0, "a step leaves the processor's mode as it was");
#if defined(__SSE__) || defined(__aarch64__)
	/* valgrind has no such mode */
	if (getenv("UNDER_VALGRIND") == NULL)
		ok(moments[0] == 0 && moments[1] == 0, "denormals are flushed within");
#endif
}

static void
test_clip(void)
{
	float grad[35], copy[35];
	double norm = 0, after = 0;

	for (int i = 0; i < 35; i++)
	{
		copy[i] = grad[i] = (float) (i - 12);
		norm += grad[i] * grad[i];
	}
	norm = sqrt(norm);
	is_close(sl_clip_norm(grad, 35, 0), norm, 1e-9, "norm");
	ok(memcmp(grad, copy, sizeof(grad)) == 0, "max 0 does not clip");
	sl_clip_norm(grad, 35, 1000);
	ok(memcmp(grad, copy, sizeof(grad)) == 0, "a small gradient stays");
	is_close(sl_clip_norm(grad, 35, 2), norm, 1e-9, "the norm before is returned");
	for (int i = 0; i < 35; i++)
		after += (double) grad[i] * grad[i];
	is_close(sqrt(after), 2 * norm / (norm + 1e-6), 1e-6, "clipped to 2");
	is_close(grad[34] / grad[0], copy[34] / copy[0], 1e-6, "the direction stays");

	float huge[2] = {FLT_MAX, -FLT_MAX}, tiny[2] = {1e-30f, 0}, nan[2] = {NAN, 1};

	is_close(sl_clip_norm(huge, 2, 1) / FLT_MAX, sqrt(2), 1e-6,
			 "the norm does not overflow");
	is_close(huge[0], sqrt(0.5), 1e-6, "clipped from the largest float");
	is_close(sl_clip_norm(tiny, 2, 1) / 1e-30f, 1, 1e-6, "the norm does not underflow");
	ok(isnan(sl_clip_norm(nan, 2, 1)) && nan[1] == 1, "a NaN is reported and left");
	is_close(sl_clip_norm(NULL, 0, 1), 0, 0, "no gradient");

	float small[2] = {3e-6f, 4e-6f};

	is_close(sl_clip_norm(small, 2, 4e-6f), 5e-6, 1e-12, "norm of a small gradient");
	is_close(small[0], 3e-6 * 4 / 6, 1e-11, "PyTorch's 1e-6 beside the norm");
}

static void
test_schedule(void)
{
	static const float end[] = {1, 0, 0, 0.01f, 0.01f},
					   middle[] = {1, 0.5f, 0.5f, 0.1f, 0.1f};

	for (int kind = 0; sl_schedule_name(kind); kind++)
	{
		const char *name = sl_schedule_name(kind);
		bool falls = true, rises = true;

		is_close(sl_schedule(kind, 0, 100, 0), 1, 0, "%s: starts at 1", name);
		is_close(sl_schedule(kind, 50, 100, 0), middle[kind], 1e-6, "%s: half way", name);
		is_close(sl_schedule(kind, 100, 100, 0), end[kind], 1e-6, "%s: ends", name);
		is_close(sl_schedule(kind, 1000, 100, 0), end[kind], 1e-6, "%s: and stays", name);
		is_close(sl_schedule(kind, 0, 1, 0), 1, 0, "%s: one step is a full one", name);
		for (int i = 1; i <= 100; i++)
		{
			float now = sl_schedule(kind, i, 100, 0),
				  before = sl_schedule(kind, i - 1, 100, 0);
			bool steady = kind == SL_SCHEDULE_CONSTANT || kind == SL_SCHEDULE_STEP;

			falls &= now >= 0 && (steady ? now <= before : now < before);
		}
		ok(falls, "%s: never rises", name);

		/* ten steps of warm-up, then the decay over the other hundred */
		for (int i = 0; i < 10; i++)
			rises &= fabsf(sl_schedule(kind, i, 110, 10) - (float) (i + 1) / 11) < 1e-6f;
		ok(rises, "%s: warm-up in equal steps", name);
		is_close(sl_schedule(kind, 10, 110, 10), 1, 0, "%s: full after warm-up", name);
		is_close(sl_schedule(kind, 60, 110, 10), middle[kind], 1e-6,
				 "%s: half way after it", name);
		is_close(sl_schedule(kind, 110, 110, 10), end[kind], 1e-6, "%s: ends after it",
				 name);
	}
	is_close(sl_schedule(SL_SCHEDULE_COSINE, 25, 100, 0), 0.5 + sqrt(0.125), 1e-6,
			 "cosine: a quarter");
	is_close(sl_schedule(SL_SCHEDULE_STEP, 49, 100, 0), 1, 0, "step: before one half");
	is_close(sl_schedule(SL_SCHEDULE_STEP, 74, 100, 0), 0.1, 1e-7,
			 "step: before three quarters");
	is_close(sl_schedule(SL_SCHEDULE_STEP, 75, 100, 0), 0.01, 1e-7,
			 "step: from three quarters");
	is_close(sl_schedule(SL_SCHEDULE_LINEAR, 5, 5, 10), 6.0 / 11, 1e-7,
			 "warm-up longer than the run");
}

int
main(void)
{
	test_names();
	test_parity();
	test_lengths();
	test_bits();
	test_denormals();
	test_clip();
	test_schedule();
	return done_testing();
}
