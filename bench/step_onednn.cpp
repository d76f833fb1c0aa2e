/*
 * step_onednn.cpp: time of forward and backward of the LSTM and GRU layers of
 * bench/step.c's shapes in oneDNN (v3), on one thread.
 *
 *   g++ -O2 -fopenmp step_onednn.cpp -ldnnl -o step_onednn
 *   step_onednn lstm 400x20x9-250 ...
 *
 * There is no head, no loss and no optimiser: less than bench/step.c does.  Weights are
 * in the layouts oneDNN asks for.  Since an optimiser changes them, a training step has
 * to bring them there from the one layout they are kept in, and the gradients back; the
 * time is printed without these reorders and with them.  Layers are primitives of their
 * own, because stacked ones must have as many inputs as units.  Before any time is taken,
 * outputs and gradients of small networks are compared with a plain implementation.
 */
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>

using namespace dnnl;
using dt = memory::data_type;
using tag = memory::format_tag;

static engine cpu(engine::kind::cpu, 0);
static stream queue(cpu);

struct Shape
{
	bool lstm;
	int batch, steps, features;
	std::vector<int> hidden;
};

using Args = std::unordered_map<int, memory>;

struct Layer
{
	/* as kept: time x batch x channel, and layer x direction x input x gate x output */
	memory x, h, dx, dh, wx, wh, bias, dwx, dwh, dbias;
	memory state, dstate,
		dstate_c; /* the first, zero: left out, oneDNN 3.12 gets dwh wrong */
	primitive forward, backward;
	Args forward_args, backward_args;
	std::vector<std::pair<memory, memory>> to_layout, from_layout; /* reorders */
	std::vector<memory> gradients;								   /* are added to */
};

static float *
data(const memory &m)
{
	return static_cast<float *>(m.get_data_handle());
}

static size_t
count(const memory &m)
{
	return m.get_desc().get_size() / sizeof(float);
}

static memory
make(const memory::desc &desc)
{
	memory m(desc, cpu);

	memset(m.get_data_handle(), 0, desc.get_size());
	return m;
}

static memory
make_random(const memory::desc &desc, float scale)
{
	memory m = make(desc);

	for (size_t i = 0; i < count(m); i++)
		data(m)[i] = scale * ((float) rand() / (float) RAND_MAX - 0.5f);
	return m;
}

static memory::desc
any(const memory::desc &desc)
{
	return memory::desc(desc.get_dims(), dt::f32, tag::any);
}

/* The same numbers in another layout, brought there before the step. */
static memory
in_layout(Layer &layer, const memory &kept, const memory::desc &wanted)
{
	if (kept.get_desc() == wanted)
		return kept;

	memory m = make(wanted);

	layer.to_layout.push_back({kept, m});
	return m;
}

static memory
gradient(Layer &layer, const memory &kept, const memory::desc &wanted)
{
	memory m = kept;

	if (kept.get_desc() != wanted)
	{
		m = make(wanted);
		layer.from_layout.push_back({m, kept});
	}
	layer.gradients.push_back(m);
	return m;
}

template <class Forward, class Backward>
static void
wire(Layer &l, const typename Forward::primitive_desc &f,
	 const typename Backward::primitive_desc &b)
{
	memory workspace = make(f.workspace_desc());

	l.forward = Forward(f);
	l.forward_args = {
		{DNNL_ARG_SRC_LAYER, l.x},
		{DNNL_ARG_WEIGHTS_LAYER, in_layout(l, l.wx, f.weights_layer_desc())},
		{DNNL_ARG_WEIGHTS_ITER, in_layout(l, l.wh, f.weights_iter_desc())},
		{DNNL_ARG_BIAS, l.bias},
		{DNNL_ARG_SRC_ITER, l.state},
		{DNNL_ARG_SRC_ITER_C, l.state},
		{DNNL_ARG_DST_LAYER, l.h},
		{DNNL_ARG_WORKSPACE, workspace}};
	l.backward = Backward(b);
	l.backward_args = {
		{DNNL_ARG_SRC_LAYER, l.x},
		{DNNL_ARG_WEIGHTS_LAYER, in_layout(l, l.wx, b.weights_layer_desc())},
		{DNNL_ARG_WEIGHTS_ITER, in_layout(l, l.wh, b.weights_iter_desc())},
		{DNNL_ARG_BIAS, l.bias},
		{DNNL_ARG_DST_LAYER, l.h},
		{DNNL_ARG_WORKSPACE, workspace},
		{DNNL_ARG_DIFF_SRC_LAYER, l.dx},
		{DNNL_ARG_SRC_ITER, l.state},
		{DNNL_ARG_SRC_ITER_C, l.state},
		{DNNL_ARG_DIFF_SRC_ITER, l.dstate},
		{DNNL_ARG_DIFF_SRC_ITER_C, l.dstate_c},
		{DNNL_ARG_DIFF_WEIGHTS_LAYER, gradient(l, l.dwx, b.diff_weights_layer_desc())},
		{DNNL_ARG_DIFF_WEIGHTS_ITER, gradient(l, l.dwh, b.diff_weights_iter_desc())},
		{DNNL_ARG_DIFF_BIAS, gradient(l, l.dbias, b.diff_bias_desc())},
		{DNNL_ARG_DIFF_DST_LAYER, l.dh}};
}

static Layer
make_layer(const Shape &s, int in, int out, const memory *x, const memory *dx)
{
	Layer l;
	int gates = s.lstm ? 4 : 3;
	memory::desc none;
	memory::desc wx({1, 1, in, gates, out}, dt::f32, tag::ldigo);
	memory::desc wh({1, 1, out, gates, out}, dt::f32, tag::ldigo);
	memory::desc bias({1, 1, 4, out}, dt::f32, tag::ldgo);
	memory::desc input({s.steps, s.batch, in}, dt::f32, tag::tnc);
	memory::desc output({s.steps, s.batch, out}, dt::f32, tag::tnc);
	memory::desc state({1, 1, s.batch, out}, dt::f32, tag::ldnc);
	auto way = rnn_direction::unidirectional_left2right;

	l.x = x != nullptr ? *x : make_random(input, 1);
	l.dx = dx != nullptr ? *dx : make(input);
	l.h = make(output);
	l.dh = make(output);
	l.state = make(state);
	l.dstate = make(state);
	l.dstate_c = make(state);
	l.wx = make_random(wx, 0.5f);
	l.wh = make_random(wh, 0.5f);
	l.bias = make_random(bias, 0.5f);
	l.dwx = make(wx);
	l.dwh = make(wh);
	l.dbias = make(bias);
	if (s.lstm)
	{
		lstm_forward::primitive_desc f(cpu, prop_kind::forward_training, way, input,
									   state, state, any(wx), any(wh), bias, output, none,
									   none);
		lstm_backward::primitive_desc b(cpu, prop_kind::backward, way, input, state,
										state, any(wx), any(wh), bias, output, none, none,
										input, state, state, any(wx), any(wh), bias,
										output, none, none, f);

		wire<lstm_forward, lstm_backward>(l, f, b);
	}
	else
	{
		lbr_gru_forward::primitive_desc f(cpu, prop_kind::forward_training, way, input,
										  state, any(wx), any(wh), bias, output, none);
		lbr_gru_backward::primitive_desc b(
			cpu, prop_kind::backward, way, input, state, any(wx), any(wh), bias, output,
			none, input, state, any(wx), any(wh), bias, output, none, f);

		wire<lbr_gru_forward, lbr_gru_backward>(l, f, b);
	}
	return l;
}

static std::vector<Layer>
make_net(const Shape &s)
{
	std::vector<Layer> net;
	int in = s.features;

	for (int out : s.hidden)
	{
		const Layer *below = net.empty() ? nullptr : &net.back();
		Layer l = make_layer(s, in, out, below ? &below->h : nullptr,
							 below ? &below->dh : nullptr);

		net.push_back(l);
		in = out;
	}
	memcpy(data(net.back().dh), data(make_random(net.back().dh.get_desc(), 2)),
		   net.back().dh.get_desc().get_size());
	return net;
}

struct Reorders
{
	std::vector<primitive> work;
	std::vector<Args> args;

	void
	add(const std::vector<std::pair<memory, memory>> &list)
	{
		for (auto &[from, to] : list)
		{
			work.push_back(reorder(from, to));
			args.push_back({{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
		}
	}
	void
	run() const
	{
		for (size_t i = 0; i < work.size(); i++)
			work[i].execute(queue, args[i]);
	}
};

static void
step(std::vector<Layer> &net)
{
	for (Layer &l : net)
		l.forward.execute(queue, l.forward_args);
	for (size_t i = net.size(); i-- > 0;)
	{
		for (memory &g : net[i].gradients)
			memset(g.get_data_handle(), 0, g.get_desc().get_size());
		net[i].backward.execute(queue, net[i].backward_args);
	}
	queue.wait();
}

/* ---- a plain implementation, to be sure that it is the same work ---- */

static double
sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

/* One layer in double precision; h comes back as steps x batch x out. */
static std::vector<double>
plain_layer(const Shape &s, int in, int out, const std::vector<double> &x,
			const double *wx, const double *wh, const double *bias)
{
	int gates = s.lstm ? 4 : 3;
	std::vector<double> h((size_t) s.steps * s.batch * out);

	for (int b = 0; b < s.batch; b++)
	{
		std::vector<double> c(out), last(out);

		for (int t = 0; t < s.steps; t++)
		{
			const double *row = &x[((size_t) t * s.batch + b) * in];
			double *now = &h[((size_t) t * s.batch + b) * out];

			for (int o = 0; o < out; o++)
			{
				double a[4], r[4];

				for (int g = 0; g < gates; g++)
				{
					a[g] = bias[g * out + o];
					r[g] = 0;
					for (int i = 0; i < in; i++)
						a[g] += wx[(i * gates + g) * out + o] * row[i];
					for (int i = 0; i < out; i++)
						r[g] += wh[(i * gates + g) * out + o] * last[i];
				}
				if (s.lstm)
				{
					c[o] = sigmoid(a[1] + r[1]) * c[o] +
						   sigmoid(a[0] + r[0]) * tanh(a[2] + r[2]);
					now[o] = sigmoid(a[3] + r[3]) * tanh(c[o]);
				}
				else
				{
					double z = sigmoid(a[0] + r[0]);
					double n =
						tanh(a[2] + sigmoid(a[1] + r[1]) * (r[2] + bias[3 * out + o]));

					now[o] = z * last[o] + (1 - z) * n;
				}
			}
			last.assign(now, now + out);
		}
	}
	return h;
}

/* All inputs, weights and biases in one array, so that each can be moved a little. */
static double
plain_loss(const Shape &s, const std::vector<double> &all, const float *dh)
{
	size_t at = (size_t) s.steps * s.batch * s.features;
	std::vector<double> h(all.begin(), all.begin() + (long) at);
	int in = s.features;
	double loss = 0;

	for (int out : s.hidden)
	{
		int gates = s.lstm ? 4 : 3;
		const double *wx = &all[at], *wh = wx + in * gates * out;
		const double *bias = wh + out * gates * out;

		h = plain_layer(s, in, out, h, wx, wh, bias);
		at = (size_t) (bias - all.data()) + 4 * out;
		in = out;
	}
	for (size_t i = 0; i < h.size(); i++)
		loss += h[i] * dh[i];
	return loss;
}

static void
append(std::vector<double> &all, const memory &m)
{
	all.insert(all.end(), data(m), data(m) + count(m));
}

static void
check(bool lstm)
{
	Shape s{lstm, 3, 4, 5, {7, 6}};
	std::vector<Layer> net = make_net(s);
	Reorders to, from;
	std::vector<double> all, got;
	double worst = 0, largest = 0, loss = 0;

	append(all, net[0].x);
	for (Layer &l : net)
	{
		for (const memory &m : {l.wx, l.wh, l.bias})
			append(all, m);
		to.add(l.to_layout);
		from.add(l.from_layout);
	}
	to.run();
	step(net);
	step(net); /* nothing may be left from a step before */
	from.run();
	queue.wait();
	append(got, net[0].dx);
	for (Layer &l : net)
		for (const memory &m : {l.dwx, l.dwh, l.dbias})
			append(got, m);
	for (size_t i = 0; i < count(net[1].h); i++)
		loss += (double) data(net[1].h)[i] * data(net[1].dh)[i];

	double plain = plain_loss(s, all, data(net[1].dh));

	for (size_t i = 0; i < all.size(); i++)
	{
		std::vector<double> moved = all;
		double slope = 0;

		for (int side : {1, -1})
		{
			moved[i] = all[i] + side * 1e-5;
			slope += side * plain_loss(s, moved, data(net[1].dh)) / 2e-5;
		}
		worst = std::max(worst, fabs(slope - got[i]));
		largest = std::max(largest, fabs(slope));
	}
	if (fabs(loss - plain) > 1e-4 * fabs(plain) + 1e-5 || worst > 1e-4 * largest)
	{
		fprintf(stderr,
				"oneDNN computes something else: %s, loss %g and %g, gradients %g off\n",
				lstm ? "LSTM" : "GRU", loss, plain, worst);
		exit(1);
	}
}

/* ---- time ---- */

static double
read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double) ts.tv_sec + 1e-9 * (double) ts.tv_nsec;
}

/* Median processor time; the wall clock decides how long it goes on. */
static double
measure(const std::function<void()> &work, double seconds)
{
	std::vector<double> times;
	double start = read_clock(CLOCK_MONOTONIC);

	work();
	work();
	do
	{
		double before = read_clock(CLOCK_PROCESS_CPUTIME_ID);

		work();
		times.push_back(read_clock(CLOCK_PROCESS_CPUTIME_ID) - before);
	} while (read_clock(CLOCK_MONOTONIC) - start < seconds || times.size() < 5);
	std::nth_element(times.begin(), times.begin() + (long) times.size() / 2, times.end());
	return times[times.size() / 2];
}

static Shape
parse(const std::string &cell, const char *text)
{
	Shape s{cell == "lstm", 0, 0, 0, {}};
	int used = 0;

	if ((cell != "lstm" && cell != "gru") ||
		sscanf(text, "%dx%dx%d%n", &s.batch, &s.steps, &s.features, &used) != 3 ||
		text[used] != '-')
	{
		fprintf(stderr, "not a shape: %s %s\n", cell.c_str(), text);
		exit(1);
	}
	while (text[used] == '-')
	{
		char *end;

		s.hidden.push_back((int) strtol(text + used + 1, &end, 10));
		used = (int) (end - text);
	}
	return s;
}

int
main(int argc, char **argv)
{
	const version_t *v = dnnl::version();

	omp_set_num_threads(1);
	printf("VERSION\toneDNN\t%d.%d.%d\n", v->major, v->minor, v->patch);
	check(true);
	check(false);
	for (int i = 1; i + 1 < argc; i += 2)
	{
		std::vector<Layer> net = make_net(parse(argv[i], argv[i + 1]));
		Reorders to, from;

		for (Layer &l : net)
		{
			to.add(l.to_layout);
			from.add(l.from_layout);
		}
		to.run();

		double bare = measure([&] { step(net); }, 1);
		double whole = measure(
			[&]
			{
				to.run();
				step(net);
				from.run();
				queue.wait();
			},
			1);

		printf(
			"%-12s %-18s oneDNN %9.3f ms forward and backward, %9.3f ms with reorders (cpu)\n",
			argv[i], argv[i + 1], 1e3 * bare, 1e3 * whole);
		printf("RESULT\tstep %s %s\toneDNN without reorders\t%.9f\t\n", argv[i],
			   argv[i + 1], bare);
		printf("RESULT\tstep %s %s\toneDNN\t%.9f\t\n", argv[i], argv[i + 1], whole);
		fflush(stdout);
	}
	return 0;
}
