/* Softmax in fixed point. The exponential (a Taylor polynomial around -1/8 and a product of constants) and the reciprocal
 * (three Newton steps) are those of gemmlowp's fixedpoint.h, with TFLite's formats: Q5.26 differences, Q12.19 sums. */
#include "fixed_point.h"
#include "micronas/kernels.h"

enum { DIFFERENCE_FRACTION = 26, SUM_INTEGER = 12 };

static int32_t saturating_left(int32_t x, int exponent) {
    const int32_t highest = INT32_MAX >> exponent;
    return x > highest ? INT32_MAX : x < -highest - 1 ? INT32_MIN : (int32_t)((uint32_t)x << exponent);
}

/* exp(a) as Q0.31 for a in [-1/4, 0), a as Q0.31. */
static int32_t exp_last_quarter(int32_t a) {
    const int32_t exp_eighth = 1895147668, third = 715827883; /* exp(-1/8), 1/3 */
    const int32_t x = a + (1 << 28);
    const int32_t x2 = mn_rounding_high_mul(x, x);
    const int32_t x3 = mn_rounding_high_mul(x2, x);
    const int32_t x4 = mn_rounding_high_mul(x2, x2);
    const int32_t cubic = mn_rounding_high_mul(mn_rounding_shift(x4, 2) + x3, third) + x2;
    return exp_eighth + mn_rounding_high_mul(x + mn_rounding_shift(cubic, 1), exp_eighth);
}

/* exp(a) as Q0.31 for a <= 0 as Q5.26. */
static int32_t exp_negative(int32_t a) {
    static const int32_t powers[] = {/* exp(-2^i) for i = -2 ... 4 */
                                     1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << (DIFFERENCE_FRACTION - 2);
    const int32_t last = (a & (quarter - 1)) - quarter;
    const int32_t remainder = last - a;
    int32_t result = exp_last_quarter(saturating_left(last, 5));
    if (a == 0) {
        return INT32_MAX;
    }
    for (int i = 0; i < 7; i++) {
        if (remainder & (quarter << i)) {
            result = mn_rounding_high_mul(result, powers[i]);
        }
    }
    return result;
}

/* 1 / (1 + x) as Q0.31 for x in [0, 1) as Q0.31. */
static int32_t reciprocal_of_one_plus(int32_t x) {
    const int64_t sum = (int64_t)x + INT32_MAX;
    const int32_t half = (int32_t)((sum + 1) / 2);
    int32_t y = 1515870810 + mn_rounding_high_mul(half, -1010580540); /* 48/17 - 32/17 * half, Q2.29 */
    for (int step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - mn_rounding_high_mul(half, y);
        y += saturating_left(mn_rounding_high_mul(y, error), 2);
    }
    return saturating_left(y, 1);
}

static int32_t leading_zeros(uint32_t x) {
    int32_t zeros = 0;
    for (; x != 0 && x < 0x80000000U; x <<= 1) {
        zeros++;
    }
    return zeros;
}

static int32_t exp_of(const mn_softmax *op, int32_t difference) {
    const uint32_t shifted = (uint32_t)difference << op->left_shift;
    return exp_negative(mn_rounding_high_mul((int32_t)shifted, op->multiplier));
}

static void softmax_row(const mn_softmax *op, const int8_t *input, int8_t *output) {
    int32_t highest = INT8_MIN, sum = 0;
    for (int32_t i = 0; i < op->depth; i++) {
        highest = input[i] > highest ? input[i] : highest;
    }
    for (int32_t i = 0; i < op->depth; i++) {
        const int32_t difference = input[i] - highest;
        sum += difference >= op->diff_min ? mn_rounding_shift(exp_of(op, difference), SUM_INTEGER) : 0;
    }
    const int32_t headroom = leading_zeros((uint32_t)sum);
    const int32_t scale = reciprocal_of_one_plus((int32_t)(((uint32_t)sum << headroom) - (1U << 31)));
    for (int32_t i = 0; i < op->depth; i++) {
        const int32_t difference = input[i] - highest;
        output[i] = INT8_MIN;
        if (difference >= op->diff_min) {
            const int32_t product = mn_rounding_high_mul(scale, exp_of(op, difference));
            const int32_t value = mn_rounding_shift(product, SUM_INTEGER - headroom + 31 - 8);
            output[i] = mn_clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
        }
    }
}

void mn_run_softmax(const mn_softmax *op, const int8_t *input, int8_t *output) {
    for (int32_t row = 0; row < op->rows; row++) {
        softmax_row(op, input + row * op->depth, output + row * op->depth);
    }
}
