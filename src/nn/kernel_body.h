/*
 * kernel_body.h: the loops themselves; kernel.c includes this once for each instruction
 * set, with K() making names and FMA() the multiply-add it has.
 *
 * The transcendental loops go over blocks of LANES elements of fixed length, so that
 * they become straight vector code; the rest of a row is copied into a full block.
 */

/*
 * exp(r) - 1 for |r| <= log(2) / 2: a minimax polynomial, relative error 2e-8.
 */
INLINE float
K(expm1_poly)(float r)
{
	float q = 1.388252131e-03f;

	q = FMA(q, r, 8.366520517e-03f);
	q = FMA(q, r, 4.166720062e-02f);
	q = FMA(q, r, 1.666654348e-01f);
	q = FMA(q, r, 4.999999702e-01f);
	return FMA(q * r, r, r);
}

/*
 * Splits x = n log(2) + r.  Adding ROUND leaves n in the low bits of the sum's pattern,
 * so no conversion to an integer meets a NaN.
 */
INLINE float
K(reduce)(float x, uint32_t *n)
{
	float shifted = FMA(x, 1.442695041f, ROUND);
	float k = shifted - ROUND;
	float r = FMA(k, -0.693359375f, x);

	*n = bits_of(shifted) - ROUND_BITS;
	return FMA(k, 2.12194440e-4f, r);
}

/* Two factors, as 2^n may be out of range where the result is not. */
INLINE float
K(exp1)(float x)
{
	uint32_t n;

	x = x < -104.0f ? -104.0f : x;
	x = x > 89.0f ? 89.0f : x;

	float p = K(expm1_poly)(K(reduce)(x, &n)) + 1.0f;
	uint32_t half = (uint32_t) ((int32_t) n >> 1);

	return p * power_of_2(half) * power_of_2(n - half);
}

INLINE float
K(sigmoid1)(float x)
{
	uint32_t n;

	x = x < -87.0f ? -87.0f : x;
	x = x > 87.0f ? 87.0f : x;

	float p = K(expm1_poly)(K(reduce)(-x, &n));
	float s = power_of_2(n);

	return 1.0f / (1.0f + FMA(p, s, s));
}

/* (e - 1) / (e + 1) with e = exp(2x), from e - 1 so that small x keep their digits. */
INLINE float
K(tanh1)(float x)
{
	uint32_t n;

	x = x < -9.5f ? -9.5f : x;
	x = x > 9.5f ? 9.5f : x;

	float p = K(expm1_poly)(K(reduce)(2.0f * x, &n));
	float s = power_of_2(n);
	float t = FMA(p, s, s - 1.0f);

	return t / (t + 2.0f);
}

#define DEFINE_MAP(name)                                       \
	static void K(name)(size_t n, const float *x, float *y)    \
	{                                                          \
		for (; n >= LANES; n -= LANES, x += LANES, y += LANES) \
			VECTOR_LOOP(l, y[l] = K(name##1)(x[l]))            \
		if (n > 0)                                             \
		{                                                      \
			float rest[LANES] = {0};                           \
                                                               \
			memcpy(rest, x, n * sizeof(float));                \
			VECTOR_LOOP(l, rest[l] = K(name##1)(rest[l]))      \
			memcpy(y, rest, n * sizeof(float));                \
		}                                                      \
	}

DEFINE_MAP(exp)
DEFINE_MAP(sigmoid)
DEFINE_MAP(tanh)
#undef DEFINE_MAP

/*
 * Runs block over rows rows of hidden elements.  A block reads and writes streams: stream
 * s of row r starts at stream[s] + r * stride[s].  The last, partial block of a row works
 * on copies; those of the streams in the bit set written are copied back.
 */
INLINE void
K(run_blocks)(int rows, int hidden, int streams, float **stream, const size_t *stride,
			  unsigned written, void (*block)(float *const *at))
{
	for (int r = 0; r < rows; r++)
	{
		float *at[MAX_STREAMS];
		int j = 0;

		for (; j + LANES <= hidden; j += LANES)
		{
			for (int s = 0; s < streams; s++)
				at[s] = stream[s] + j;
			block(at);
		}
		if (j < hidden)
		{
			float rest[MAX_STREAMS][LANES] = {0};
			size_t bytes = (size_t) (hidden - j) * sizeof(float);

			for (int s = 0; s < streams; s++)
			{
				memcpy(rest[s], stream[s] + j, bytes);
				at[s] = rest[s];
			}
			block(at);
			for (int s = 0; s < streams; s++)
				if (written >> s & 1)
					memcpy(stream[s] + j, rest[s], bytes);
		}
		for (int s = 0; s < streams; s++)
			stream[s] += stride[s];
	}
}

/* ---- LSTM: gates i f g o ---- */

INLINE void
K(lstm_forward_block)(float *const *at)
{
	float *gi = at[0], *gf = at[1], *gg = at[2], *go = at[3];
	const float *bi = at[4], *bf = at[5], *bg = at[6], *bo = at[7];
	const float *c_prev = at[8];
	float *c = at[9], *h = at[10];

	VECTOR_LOOP(l, {
		float i = K(sigmoid1)(gi[l] + bi[l]);
		float f = K(sigmoid1)(gf[l] + bf[l]);
		float g = K(tanh1)(gg[l] + bg[l]);
		float o = K(sigmoid1)(go[l] + bo[l]);
		float cell = FMA(i, g, f * c_prev[l]);

		gi[l] = i;
		gf[l] = f;
		gg[l] = g;
		go[l] = o;
		c[l] = cell;
		h[l] = o * K(tanh1)(cell);
	})
}

static void
K(lstm_forward)(int rows, int hidden, float *gates, const float *bias,
				const float *c_prev, size_t c_stride, float *c, float *h)
{
	size_t n = hidden;
	float *b = (float *) bias;
	float *stream[11] = {gates, gates + n, gates + 2 * n, gates + 3 * n,	b,
						 b + n, b + 2 * n, b + 3 * n,	  (float *) c_prev, c,
						 h};
	const size_t stride[11] = {4 * n, 4 * n, 4 * n, 4 * n, 0, 0, 0, 0, c_stride, n, n};

	K(run_blocks)(rows, hidden, 11, stream, stride, 0x60f, K(lstm_forward_block));
}

INLINE void
K(lstm_backward_block)(float *const *at)
{
	float *gi = at[0], *gf = at[1], *gg = at[2], *go = at[3];
	const float *c_prev = at[4], *c = at[5], *dy = at[6], *dh = at[7];
	float *dc = at[8];

	VECTOR_LOOP(l, {
		float i = gi[l], f = gf[l], g = gg[l], o = go[l];
		float t = K(tanh1)(c[l]);
		float d_h = dy[l] + dh[l];
		float d_o = d_h * t;
		float d_c = FMA(d_h * o, FMA(-t, t, 1.0f), dc[l]);

		gi[l] = d_c * g * (i * (1.0f - i));
		gf[l] = d_c * c_prev[l] * (f * (1.0f - f));
		gg[l] = d_c * i * FMA(-g, g, 1.0f);
		go[l] = d_o * (o * (1.0f - o));
		dc[l] = d_c * f;
	})
}

static void
K(lstm_backward)(int rows, int hidden, float *gates, const float *c_prev, size_t c_stride,
				 const float *c, const float *dy, const float *dh, float *dc)
{
	size_t n = hidden;
	float *stream[9] = {gates,		   gates + n,		 gates + 2 * n,
						gates + 3 * n, (float *) c_prev, (float *) c,
						(float *) dy,  (float *) dh,	 dc};
	const size_t stride[9] = {4 * n, 4 * n, 4 * n, 4 * n, c_stride, n, n, n, n};

	K(run_blocks)(rows, hidden, 9, stream, stride, 0x10f, K(lstm_backward_block));
}

/* ---- GRU: gates n r z and n's recurrent product ---- */

INLINE void
K(gru_forward_block)(float *const *at)
{
	float *gn = at[0], *gr = at[1], *gz = at[2], *gm = at[3];
	const float *bn = at[4], *br = at[5], *bz = at[6], *bm = at[7];
	const float *h_prev = at[8];
	float *h = at[9];

	VECTOR_LOOP(l, {
		float r = K(sigmoid1)(gr[l] + br[l]);
		float z = K(sigmoid1)(gz[l] + bz[l]);
		float m = gm[l] + bm[l];
		float n = K(tanh1)(FMA(r, m, gn[l] + bn[l]));

		gn[l] = n;
		gr[l] = r;
		gz[l] = z;
		gm[l] = m;
		h[l] = FMA(z, h_prev[l] - n, n);
	})
}

static void
K(gru_forward)(int rows, int hidden, float *gates, const float *bias, const float *h_prev,
			   size_t h_stride, float *h)
{
	size_t n = hidden;
	float *b = (float *) bias;
	float *stream[10] = {gates, gates + n, gates + 2 * n, gates + 3 * n,	b,
						 b + n, b + 2 * n, b + 3 * n,	  (float *) h_prev, h};
	const size_t stride[10] = {4 * n, 4 * n, 4 * n, 4 * n, 0, 0, 0, 0, h_stride, n};

	K(run_blocks)(rows, hidden, 10, stream, stride, 0x20f, K(gru_forward_block));
}

INLINE void
K(gru_backward_block)(float *const *at)
{
	float *gn = at[0], *gr = at[1], *gz = at[2], *gm = at[3];
	const float *h_prev = at[4], *dy = at[5];
	float *dh = at[6];

	VECTOR_LOOP(l, {
		float n = gn[l], r = gr[l], z = gz[l], m = gm[l];
		float d_h = dy[l] + dh[l];
		float d_n = d_h * (1.0f - z) * FMA(-n, n, 1.0f);

		gn[l] = d_n;
		gr[l] = d_n * m * (r * (1.0f - r));
		gz[l] = d_h * (h_prev[l] - n) * (z * (1.0f - z));
		gm[l] = d_n * r;
		dh[l] = d_h * z;
	})
}

static void
K(gru_backward)(int rows, int hidden, float *gates, const float *h_prev, size_t h_stride,
				const float *dy, float *dh)
{
	size_t n = hidden;
	float *stream[7] = {
		gates,		  gates + n, gates + 2 * n, gates + 3 * n, (float *) h_prev,
		(float *) dy, dh};
	const size_t stride[7] = {4 * n, 4 * n, 4 * n, 4 * n, h_stride, n, n};

	K(run_blocks)(rows, hidden, 7, stream, stride, 0x4f, K(gru_backward_block));
}

/* ---- sums and products ---- */

/* Eight rows at a time: fewer passes over sum, and shorter chains of roundings. */
static void
K(column_sums)(int rows, int cols, const float *a, size_t stride, float *restrict sum)
{
	int r = 0;

	for (; r + 8 <= rows; r += 8, a += 8 * stride)
		for (int j = 0; j < cols; j++)
		{
			const float *p = a + j;

			sum[j] += ((p[0] + p[stride]) + (p[2 * stride] + p[3 * stride])) +
					  ((p[4 * stride] + p[5 * stride]) + (p[6 * stride] + p[7 * stride]));
		}
	for (; r < rows; r++, a += stride)
		for (int j = 0; j < cols; j++)
			sum[j] += a[j];
}

static void
K(add_row)(int rows, int cols, const float *restrict x, float *restrict y, size_t stride)
{
	for (int r = 0; r < rows; r++, y += stride)
		for (int j = 0; j < cols; j++)
			y[j] += x[j];
}

static void
K(multiply)(size_t n, const float *x, const float *m, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * m[i];
}

static void
K(multiply_add)(size_t n, const float *x, const float *m, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] += x[i] * m[i];
}

static const Kernels K(table) = {
	K(exp),			  K(sigmoid),	  K(tanh),		   K(lstm_forward),
	K(lstm_backward), K(gru_forward), K(gru_backward), K(column_sums),
	K(add_row),		  K(multiply),	  K(multiply_add),
};
