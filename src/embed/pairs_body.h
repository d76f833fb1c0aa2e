/*
 * pairs_body.h: the kernels of pairs.c for one instruction set: K(name), TARGET, WIDTH.
 *
 * Blocks of two input and three output vectors stay in registers: five loads feed six
 * multiply-adds.
 */
typedef float K(V) __attribute__((vector_size(WIDTH * sizeof(float)), may_alias));
#define V K(V)
#define AT(p, d) (*(const V *) ((p) + (d)))
#define PUT(p, d) (*(V *) ((p) + (d)))

TARGET INLINE float
K(sum)(V a)
{
	union
	{
		V whole;
		float part[WIDTH];
	} u = {.whole = a};

	for (int half = WIDTH / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			u.part[i] += u.part[i + half];
	return u.part[0];
}

TARGET static void
K(dots)(int inputs, float *const *x, int outputs, float *const *y, int dim, float *dot)
{
	for (int i = 0; i < inputs; i += 2)
	{
		int second = i + 1 < inputs ? i + 1 : i;
		const float *x0 = x[i], *x1 = x[second];
		float *dot0 = dot + (size_t) i * outputs;
		float *dot1 = dot + (size_t) second * outputs;

		for (int j = 0; j < outputs; j += 3)
		{
			int j1 = j + 1 < outputs ? j + 1 : j;
			int j2 = j + 2 < outputs ? j + 2 : j;
			const float *y0 = y[j], *y1 = y[j1], *y2 = y[j2];
			V a0 = {0}, a1 = {0}, a2 = {0}, b0 = {0}, b1 = {0}, b2 = {0};

			for (int d = 0; d < dim; d += WIDTH)
			{
				V u = AT(x0, d), v = AT(x1, d);
				V p = AT(y0, d), q = AT(y1, d), r = AT(y2, d);

				a0 += u * p;
				b0 += v * p;
				a1 += u * q;
				b1 += v * q;
				a2 += u * r;
				b2 += v * r;
			}
			dot1[j2] = K(sum)(b2);
			dot1[j1] = K(sum)(b1);
			dot1[j] = K(sum)(b0);
			dot0[j2] = K(sum)(a2);
			dot0[j1] = K(sum)(a1);
			dot0[j] = K(sum)(a0);
		}
	}
}

/* What the outputs will be given: nothing is changed yet. */
TARGET INLINE void
K(output_steps)(int inputs, float *const *x, int outputs, int dim, const float *g,
				float *step)
{
	for (int j = 0; j < outputs; j += 3)
	{
		int j1 = j + 1 < outputs ? j + 1 : j;
		int j2 = j + 2 < outputs ? j + 2 : j;

		for (int d = 0; d < dim; d += 2 * WIDTH)
		{
			V a0 = {0}, a1 = {0}, a2 = {0}, b0 = {0}, b1 = {0}, b2 = {0};

			for (int i = 0; i < inputs; i++)
			{
				const float *gi = g + (size_t) i * outputs;
				V u = AT(x[i], d), v = AT(x[i], d + WIDTH);

				a0 += u * gi[j];
				b0 += v * gi[j];
				a1 += u * gi[j1];
				b1 += v * gi[j1];
				a2 += u * gi[j2];
				b2 += v * gi[j2];
			}
			PUT(step + (size_t) j2 * dim, d) = a2;
			PUT(step + (size_t) j2 * dim, d + WIDTH) = b2;
			PUT(step + (size_t) j1 * dim, d) = a1;
			PUT(step + (size_t) j1 * dim, d + WIDTH) = b1;
			PUT(step + (size_t) j * dim, d) = a0;
			PUT(step + (size_t) j * dim, d + WIDTH) = b0;
		}
	}
}

TARGET static void
K(update)(int inputs, float *const *x, int outputs, float *const *y, int dim,
		  const float *g, float *work)
{
	K(output_steps)(inputs, x, outputs, dim, g, work);
	for (int i = 0; i < inputs; i++)
	{
		const float *gi = g + (size_t) i * outputs;

		for (int d = 0; d < dim; d += 2 * WIDTH)
		{
			V a = AT(x[i], d), b = AT(x[i], d + WIDTH);

			for (int j = 0; j < outputs; j++)
			{
				a += AT(y[j], d) * gi[j];
				b += AT(y[j], d + WIDTH) * gi[j];
			}
			PUT(x[i], d) = a;
			PUT(x[i], d + WIDTH) = b;
		}
	}
	for (int j = 0; j < outputs; j++)
		for (int d = 0; d < dim; d += WIDTH)
			PUT(y[j], d) = AT(y[j], d) + AT(work + (size_t) j * dim, d);
}

TARGET static void
K(mean)(int inputs, float *const *x, int dim, float *mean)
{
	float share = 1.0f / (float) inputs;

	for (int d = 0; d < dim; d += 2 * WIDTH)
	{
		V a = {0}, b = {0};

		for (int i = 0; i < inputs; i++)
		{
			a += AT(x[i], d);
			b += AT(x[i], d + WIDTH);
		}
		PUT(mean, d) = a * share;
		PUT(mean, d + WIDTH) = b * share;
	}
}

TARGET static void
K(add)(int inputs, float *const *x, int dim, const float *step)
{
	for (int i = 0; i < inputs; i++)
		for (int d = 0; d < dim; d += WIDTH)
			PUT(x[i], d) = AT(x[i], d) + AT(step, d);
}

/* Vectors as they lie in stored rows. */
typedef float K(U)
	__attribute__((vector_size(WIDTH * sizeof(float)), aligned(4), may_alias));

TARGET static void
K(parts)(int n, const float *a, const float *b, float *dot, float *square)
{
	int whole = n / (2 * WIDTH) * (2 * WIDTH);
	V d0 = {0}, d1 = {0}, s0 = {0}, s1 = {0};

	for (int i = 0; i < whole; i += 2 * WIDTH)
	{
		V u = *(const K(U) *) (b + i), v = *(const K(U) *) (b + i + WIDTH);

		d0 += u * *(const K(U) *) (a + i);
		d1 += v * *(const K(U) *) (a + i + WIDTH);
		s0 += u * u;
		s1 += v * v;
	}
	*dot = K(sum)(d0 + d1);
	*square = K(sum)(s0 + s1);
	for (int i = whole; i < n; i++)
	{
		*dot += a[i] * b[i];
		*square += b[i] * b[i];
	}
}

static const Kernels K(table) = {K(dots), K(update), K(mean), K(add), K(parts)};

#undef V
#undef AT
#undef PUT
