"""Segmentation networks."""

from medimg.networks.unet import UNet as UNet
