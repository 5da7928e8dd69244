"""Neural networks: modules, functions, initial values. Names are imported when first used."""

from importlib import import_module
from typing import Any

_HOMES = {
    "parameter": "Parameter Buffer UninitializedParameter UninitializedBuffer",
    "modules.module": "Module",
    "summary": "summary",
    "modules.loss_adaptive": "AdaptiveLogSoftmaxWithLoss",
    "modules.container": "Sequential ModuleList ModuleDict ParameterList ParameterDict",
    "modules.conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "modules.lazy": "LazyLinear LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d "
    "LazyConvTranspose3d LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyInstanceNorm1d LazyInstanceNorm2d "
    "LazyInstanceNorm3d",
    "modules.linear": "Identity Linear Bilinear Flatten Unflatten",
    "modules.norm": "BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d NormAct "
    "GroupNorm LayerNorm RMSNorm LocalResponseNorm CrossMapLRN2d SyncBatchNorm",
    "modules.activation": "ReLU ReLU6 SiLU Mish SELU Hardsigmoid Hardswish Sigmoid LogSigmoid Tanh Softsign LeakyReLU "
    "ELU GELU Softplus Hardtanh PReLU Softmax LogSoftmax Softmin "
    "Softmax2d CELU GLU Hardshrink Softshrink Tanhshrink Threshold RReLU",
    "modules.dropout": "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout",
    "modules.pooling": "MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d "
    "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d",
    "modules.pooling_variants": "AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d LPPool1d LPPool2d LPPool3d "
    "MaxUnpool1d MaxUnpool2d MaxUnpool3d FractionalMaxPool2d FractionalMaxPool3d",
    "modules.padding": "ConstantPad1d ConstantPad2d ConstantPad3d ZeroPad1d ZeroPad2d ZeroPad3d "
    "ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d "
    "CircularPad1d CircularPad2d CircularPad3d",
    "modules.resample": "Upsample UpsamplingNearest2d UpsamplingBilinear2d",
    "modules.rearrange": "PixelShuffle PixelUnshuffle ChannelShuffle Unfold Fold",
    "modules.distance": "PairwiseDistance CosineSimilarity",
    "modules.embedding": "Embedding EmbeddingBag",
    "modules.rnn": "RNNBase RNN LSTM GRU RNNCellBase RNNCell LSTMCell GRUCell",
    "modules.attention": "MultiheadAttention",
    "modules.transformer": "TransformerEncoderLayer TransformerDecoderLayer TransformerEncoder TransformerDecoder "
    "Transformer",
    "modules.loss": "L1Loss MSELoss SmoothL1Loss HuberLoss KLDivLoss NLLLoss CrossEntropyLoss "
    "LinearCrossEntropyLoss BCELoss BCEWithLogitsLoss",
    "modules.loss_margin": "MarginRankingLoss HingeEmbeddingLoss CosineEmbeddingLoss SoftMarginLoss MultiMarginLoss "
    "MultiLabelMarginLoss MultiLabelSoftMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss",
    "modules.loss_likelihood": "PoissonNLLLoss GaussianNLLLoss CTCLoss",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_MODULES = ("functional", "init", "utils", "modules", "parameter")

__all__ = [*_HOME_OF, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"framework.nn.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'framework.nn' has no attribute '{name}'")
    value = getattr(import_module(f"framework.nn.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
