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

/* ---- LSTM: blocks of gates at g[0..3], i f g o ---- */

INLINE void
K(lstm_forward_block)(float *const *gate, const float *const *bias, const float *c_prev,
					  float *c, float *h)
{
	float *gi = gate[0], *gf = gate[1], *gg = gate[2], *go = gate[3];
	const float *bi = bias[0], *bf = bias[1], *bg = bias[2], *bo = bias[3];

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
	for (int r = 0; r < rows; r++)
	{
		for (int j = 0; j < hidden; j += LANES)
		{
			size_t n = hidden - j < LANES ? hidden - j : LANES;
			float *gate[4];
			const float *b[4];

			for (int k = 0; k < 4; k++)
			{
				gate[k] = gates + (size_t) k * hidden + j;
				b[k] = bias + (size_t) k * hidden + j;
			}
			if (n == LANES)
			{
				K(lstm_forward_block)(gate, b, c_prev + j, c + j, h + j);
				continue;
			}

			float rest[11][LANES] = {0};
			float *rest_gate[4] = {rest[0], rest[1], rest[2], rest[3]};
			const float *rest_bias[4] = {rest[4], rest[5], rest[6], rest[7]};

			for (int k = 0; k < 4; k++)
			{
				memcpy(rest[k], gate[k], n * sizeof(float));
				memcpy(rest[4 + k], b[k], n * sizeof(float));
			}
			memcpy(rest[8], c_prev + j, n * sizeof(float));
			K(lstm_forward_block)(rest_gate, rest_bias, rest[8], rest[9], rest[10]);
			for (int k = 0; k < 4; k++)
				memcpy(gate[k], rest[k], n * sizeof(float));
			memcpy(c + j, rest[9], n * sizeof(float));
			memcpy(h + j, rest[10], n * sizeof(float));
		}
		gates += (size_t) 4 * hidden;
		c_prev += c_stride;
		c += hidden;
		h += hidden;
	}
}

INLINE void
K(lstm_backward_block)(float *const *gate, const float *c_prev, const float *c,
					   const float *dy, const float *dh, float *dc)
{
	float *gi = gate[0], *gf = gate[1], *gg = gate[2], *go = gate[3];

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
	for (int r = 0; r < rows; r++)
	{
		for (int j = 0; j < hidden; j += LANES)
		{
			size_t n = hidden - j < LANES ? hidden - j : LANES;
			float *gate[4];

			for (int k = 0; k < 4; k++)
				gate[k] = gates + (size_t) k * hidden + j;
			if (n == LANES)
			{
				K(lstm_backward_block)(gate, c_prev + j, c + j, dy + j, dh + j, dc + j);
				continue;
			}

			float rest[9][LANES] = {0};
			float *rest_gate[4] = {rest[0], rest[1], rest[2], rest[3]};

			for (int k = 0; k < 4; k++)
				memcpy(rest[k], gate[k], n * sizeof(float));
			memcpy(rest[4], c_prev + j, n * sizeof(float));
			memcpy(rest[5], c + j, n * sizeof(float));
			memcpy(rest[6], dy + j, n * sizeof(float));
			memcpy(rest[7], dh + j, n * sizeof(float));
			memcpy(rest[8], dc + j, n * sizeof(float));
			K(lstm_backward_block)
			(rest_gate, rest[4], rest[5], rest[6], rest[7], rest[8]);
			for (int k = 0; k < 4; k++)
				memcpy(gate[k], rest[k], n * sizeof(float));
			memcpy(dc + j, rest[8], n * sizeof(float));
		}
		gates += (size_t) 4 * hidden;
		c_prev += c_stride;
		c += hidden;
		dy += hidden;
		dh += hidden;
		dc += hidden;
	}
}

/* ---- GRU: blocks of gates at g[0..3], n r z and n's recurrent product ---- */

INLINE void
K(gru_forward_block)(float *const *gate, const float *const *bias, const float *h_prev,
					 float *h)
{
	float *gn = gate[0], *gr = gate[1], *gz = gate[2], *gm = gate[3];
	const float *bn = bias[0], *br = bias[1], *bz = bias[2], *bm = bias[3];

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
	for (int r = 0; r < rows; r++)
	{
		for (int j = 0; j < hidden; j += LANES)
		{
			size_t n = hidden - j < LANES ? hidden - j : LANES;
			float *gate[4];
			const float *b[4];

			for (int k = 0; k < 4; k++)
			{
				gate[k] = gates + (size_t) k * hidden + j;
				b[k] = bias + (size_t) k * hidden + j;
			}
			if (n == LANES)
			{
				K(gru_forward_block)(gate, b, h_prev + j, h + j);
				continue;
			}

			float rest[10][LANES] = {0};
			float *rest_gate[4] = {rest[0], rest[1], rest[2], rest[3]};
			const float *rest_bias[4] = {rest[4], rest[5], rest[6], rest[7]};

			for (int k = 0; k < 4; k++)
			{
				memcpy(rest[k], gate[k], n * sizeof(float));
				memcpy(rest[4 + k], b[k], n * sizeof(float));
			}
			memcpy(rest[8], h_prev + j, n * sizeof(float));
			K(gru_forward_block)(rest_gate, rest_bias, rest[8], rest[9]);
			for (int k = 0; k < 4; k++)
				memcpy(gate[k], rest[k], n * sizeof(float));
			memcpy(h + j, rest[9], n * sizeof(float));
		}
		gates += (size_t) 4 * hidden;
		h_prev += h_stride;
		h += hidden;
	}
}

INLINE void
K(gru_backward_block)(float *const *gate, const float *h_prev, const float *dy, float *dh)
{
	float *gn = gate[0], *gr = gate[1], *gz = gate[2], *gm = gate[3];

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
	for (int r = 0; r < rows; r++)
	{
		for (int j = 0; j < hidden; j += LANES)
		{
			size_t n = hidden - j < LANES ? hidden - j : LANES;
			float *gate[4];

			for (int k = 0; k < 4; k++)
				gate[k] = gates + (size_t) k * hidden + j;
			if (n == LANES)
			{
				K(gru_backward_block)(gate, h_prev + j, dy + j, dh + j);
				continue;
			}

			float rest[7][LANES] = {0};
			float *rest_gate[4] = {rest[0], rest[1], rest[2], rest[3]};

			for (int k = 0; k < 4; k++)
				memcpy(rest[k], gate[k], n * sizeof(float));
			memcpy(rest[4], h_prev + j, n * sizeof(float));
			memcpy(rest[5], dy + j, n * sizeof(float));
			memcpy(rest[6], dh + j, n * sizeof(float));
			K(gru_backward_block)(rest_gate, rest[4], rest[5], rest[6]);
			for (int k = 0; k < 4; k++)
				memcpy(gate[k], rest[k], n * sizeof(float));
			memcpy(dh + j, rest[6], n * sizeof(float));
		}
		gates += (size_t) 4 * hidden;
		h_prev += h_stride;
		dy += hidden;
		dh += hidden;
	}
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
