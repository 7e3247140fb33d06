"""A GRU with the parameters and results of torch.nn.GRU that trains faster on a CPU, the more the smaller the batch.

PyTorch's own CPU backward pass adds to every weight gradient once per frame. Here one direction of a
layer is one differentiable function: the frames' loop holds only what depends on the frame before, and
each weight gradient is one matrix product at the end. Under `torch.autocast("cpu", torch.bfloat16)` the
matrix products are bfloat16 and the hidden state stays float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class _Layer(torch.autograd.Function):
    """One direction of a GRU layer given its input's share of the gates; time-major."""

    @staticmethod
    def forward(ctx, gates_in, weight, bias):
        """gates_in : (T, B, 3H) W_ih x + b_ih, order r, z, n; weight : (3H, H); bias : (3H,) -> (T, B, H)."""
        frames, batch, width = gates_in.shape
        size = width // 3
        dtype = weight.dtype
        transposed = weight.t().contiguous()
        bias = bias.to(dtype)
        out = gates_in.new_zeros(frames + 1, batch, size, dtype=torch.float32)
        low = out if dtype == torch.float32 else gates_in.new_zeros(frames + 1, batch, size, dtype=dtype)
        reset_update = gates_in.new_empty(frames, batch, 2 * size, dtype=torch.float32)
        new = gates_in.new_empty(frames, batch, size, dtype=torch.float32)
        candidate = gates_in.new_empty(frames, batch, size, dtype=dtype)
        for t in range(frames):
            recurrent = torch.addmm(bias, low[t], transposed)
            torch.add(gates_in[t, :, : 2 * size], recurrent[:, : 2 * size], out=reset_update[t]).sigmoid_()
            candidate[t] = recurrent[:, 2 * size :]
            torch.addcmul(gates_in[t, :, 2 * size :].float(), reset_update[t, :, :size], candidate[t].float(), out=new[t])
            new[t].tanh_()
            torch.lerp(new[t], out[t], reset_update[t, :, size:], out=out[t + 1])
            if low is not out:
                low[t + 1] = out[t + 1]
        ctx.save_for_backward(out, low, reset_update, new, candidate, weight)
        ctx.input_dtype = gates_in.dtype
        return out[1:]

    @staticmethod
    def backward(ctx, grad):
        out, low, reset_update, new, candidate, weight = ctx.saved_tensors
        frames, batch, size = new.shape
        reset, update = reset_update[..., :size], reset_update[..., size:]
        # What each gate's pre-activation gradient is, per unit of gradient of the new hidden state.
        of_new = (1 - update) * (1 - new * new)
        local = torch.stack(
            [of_new * candidate * reset * (1 - reset), (out[:-1] - new) * update * (1 - update), of_new * reset], dim=2
        )
        gates = new.new_empty(frames, batch, 3, size, dtype=weight.dtype)
        state = torch.zeros_like(new)
        carried = grad[-1].float()
        for t in range(frames - 1, -1, -1):
            state[t] = carried
            torch.mul(carried[:, None], local[t], out=gates[t])
            if t:
                through = torch.mm(gates[t].view(batch, 3 * size), weight)
                carried = torch.addcmul(grad[t - 1], carried, update[t]) + through
        gates = gates.view(frames * batch, 3 * size)
        grad_weight = gates.t() @ low[:-1].reshape(frames * batch, size)
        grad_bias = gates.sum(0, dtype=torch.float32)
        # Towards the input the new gate is not multiplied by the reset gate.
        grad_in = gates.view(frames, batch, 3 * size).clone()
        torch.mul(state, of_new, out=grad_in[..., 2 * size :])
        return grad_in.to(ctx.input_dtype), grad_weight, grad_bias


class GRU(nn.GRU):
    """torch.nn.GRU (batch first, no initial state given) with the fast training pass on a CPU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x : (B, T, F) -> the last layer's hidden states (B, T, H or 2H)."""
        autocast = torch.is_autocast_enabled("cpu")
        if x.device.type != "cpu" or not (self.training or autocast):
            return super().forward(x)[0]
        dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
        hidden = x.transpose(0, 1)
        with torch.autocast("cpu", enabled=False):
            for layer in range(self.num_layers):
                forwards = self._direction(hidden, f"_l{layer}", dtype)
                if self.bidirectional:
                    backwards = self._direction(hidden.flip(0), f"_l{layer}_reverse", dtype).flip(0)
                    hidden = torch.cat([forwards, backwards], dim=-1)
                else:
                    hidden = forwards
                if self.dropout and self.training and layer + 1 < self.num_layers:
                    hidden = F.dropout(hidden, self.dropout)
        return hidden.transpose(0, 1)

    def _direction(self, x: torch.Tensor, which: str, dtype: torch.dtype) -> torch.Tensor:
        """x : (T, B, F) in the order that the direction reads it -> (T, B, H); which : how its weights' names end."""
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(self, name + which) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        gates_in = F.linear(x.to(dtype), weight_ih.to(dtype), bias_ih.to(dtype))
        return _Layer.apply(gates_in, weight_hh.to(dtype), bias_hh)
