#include "model_data.h"

alignas(16) const unsigned char kModel[kModelBytes] = {
$bytes
};
