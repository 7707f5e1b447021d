# A Cortex-M with the GNU tools on PATH; MICRONAS_CPU is for example cortex-m4.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MICRONAS_CPU)
set(MICRONAS_CPU "$cpu" CACHE STRING "As -mcpu takes it")
set(CMAKE_C_FLAGS_INIT "-mcpu=$${MICRONAS_CPU} -mthumb -mfloat-abi=hard -mfpu=auto")
